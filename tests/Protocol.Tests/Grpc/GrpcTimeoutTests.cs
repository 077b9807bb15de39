using FsCheck;
using FsCheck.Fluent;
using MigrationD.Protocol.Grpc;

namespace MigrationD.Protocol.Tests.Grpc;

public sealed class GrpcTimeoutTests
{
    [Fact]
    public void Any_duration_survives_within_the_rounding_of_its_unit() =>
        Prop.ForAll(
            Gen.Choose(0, 62)
                .SelectMany(bits => Gen.Choose(0, int.MaxValue).Select(low => (long)((ulong)low << 32 >> (62 - bits))))
                .ToArbitrary(),
            ticks =>
            {
                TimeSpan timeout = TimeSpan.FromTicks(ticks);
                string text = GrpcTimeout.Format(timeout);
                Assert.Matches("^[0-9]{1,8}[HMSmun]$", text);
                Assert.True(GrpcTimeout.TryParse(text, out TimeSpan parsed));

                TimeSpan most = TimeSpan.FromHours(99_999_999);
                Assert.True(parsed >= (timeout < most ? timeout : most), $"{timeout} became {text}, which is shorter");

                // Where eight digits of one unit run out, the next is at most 1000 times as coarse, so five digits are left.
                Assert.True(parsed.Ticks - ticks <= ticks / 99_999, $"{timeout} became {text}, which is too long");
            }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData("1H", 36_000_000_000)]
    [InlineData("2M", 1_200_000_000)]
    [InlineData("3S", 30_000_000)]
    [InlineData("4m", 40_000)]
    [InlineData("5u", 50)]
    [InlineData("600n", 6)]
    [InlineData("1n", 1)]
    [InlineData("0S", 0)]
    [InlineData("00000007S", 70_000_000)]
    [InlineData("99999999H", 3_599_999_964_000_000_000)]
    public void Every_unit_is_read(string text, long ticks)
    {
        Assert.True(GrpcTimeout.TryParse(text, out TimeSpan timeout));
        Assert.Equal(ticks, timeout.Ticks);
    }

    [Theory]
    [InlineData("")]
    [InlineData("S")]
    [InlineData("1")]
    [InlineData("1s")]
    [InlineData("-1S")]
    [InlineData("+1S")]
    [InlineData(" 1S")]
    [InlineData("1 S")]
    [InlineData("1.5S")]
    [InlineData("1,0S")]
    [InlineData("0x1S")]
    [InlineData("١S")]
    [InlineData("123456789S")]
    [InlineData("99999999999999999999H")]
    public void Anything_else_is_refused(string text) => Assert.False(GrpcTimeout.TryParse(text, out _));

    [Fact]
    public void Any_text_is_read_or_refused_without_an_exception() =>
        Prop.ForAll<string?>(text => GrpcTimeout.TryParse(text, out TimeSpan timeout) ? timeout >= TimeSpan.Zero : timeout == TimeSpan.Zero)
            .QuickCheckThrowOnFailure();
}
