using System.Text;
using FsCheck;
using FsCheck.Fluent;
using MigrationD.Protocol.Wire;

namespace MigrationD.Protocol.Tests.Wire;

public sealed class GrpcStatusMessageTests
{
    // Any sequence of UTF-16 units, so blanks, controls, percent signs, pairs and lone surrogates all turn up.
    private static readonly Arbitrary<string> AnyString = Gen.OneOf(
            Gen.Choose(0, 0xffff), Gen.Choose(0x00, 0x7f), Gen.Choose(0xd7ff, 0xe000), Gen.Constant((int)'%'), Gen.Constant((int)' '))
        .Select(unit => (char)unit)
        .ListOf()
        .Select(units => new string([.. units]))
        .ToArbitrary();

    [Fact]
    public void Any_string_survives() =>
        Prop.ForAll(AnyString, text =>
        {
            string encoded = GrpcStatusMessage.Encode(text);
            Assert.All(encoded, one => Assert.InRange(one, ' ', '~'));
            Assert.Equal(encoded.Trim(), encoded);

            // A lone surrogate is no character and cannot be encoded; .NET's own UTF-8 puts U+FFFD there, too.
            Assert.Equal(Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text)), GrpcStatusMessage.Decode(encoded));
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void A_bound_cuts_between_characters() =>
        Prop.ForAll(AnyString, Gen.Choose(0, 40).ToArbitrary(), (text, most) =>
        {
            string encoded = GrpcStatusMessage.Encode(text, most);
            Assert.True(encoded.Length <= most);
            Assert.StartsWith(encoded, GrpcStatusMessage.Encode(text), StringComparison.Ordinal);
            Assert.StartsWith(
                GrpcStatusMessage.Decode(encoded), Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text)), StringComparison.Ordinal);
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Any_value_is_decoded_without_an_exception() =>
        Prop.ForAll(AnyString, value => GrpcStatusMessage.Decode(value) is not null).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData("plain text, with punctuation!", "plain text, with punctuation!")]
    [InlineData("100%", "100%25")]
    [InlineData("é\n", "%C3%A9%0A")]
    [InlineData(" x ", "%20x%20")]
    [InlineData("🐧", "%F0%9F%90%A7")]
    public void Encoding_is_the_protocols(string message, string value)
    {
        Assert.Equal(value, GrpcStatusMessage.Encode(message));
        Assert.Equal(message, GrpcStatusMessage.Decode(value));
    }

    [Theory]
    [InlineData("%", "%")]
    [InlineData("50%, or %zz", "50%, or %zz")]
    [InlineData("%c3%a9", "é")]
    [InlineData("%+1", "%+1")]
    [InlineData("%4", "%4")]
    [InlineData("%C3", "\uFFFD")]
    public void Sloppy_values_are_taken_as_far_as_they_go(string value, string message) =>
        Assert.Equal(message, GrpcStatusMessage.Decode(value));
}
