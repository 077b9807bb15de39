using FsCheck;
using FsCheck.Fluent;
using MigrationD.Daemon.Notation;

namespace MigrationD.Daemon.Tests.Notation;

public sealed class ByteSizeTests
{
    [Fact]
    public void Any_size_is_read_back_exactly_as_it_was_written()
    {
        // Multiples of each unit, so that every suffix is reached, and any number.
        var sizes = from number in Gen.Choose(0, int.MaxValue)
                    from shift in Gen.Elements(0, 10, 20, 30)
                    select (long)number << shift;

        Prop.ForAll(sizes.ToArbitrary(), bytes =>
            ByteSize.TryParse(new ByteSize(bytes).ToString(), out var read) && read.Bytes == bytes).QuickCheckThrowOnFailure();
    }

    [Theory]
    [InlineData("0", 0)]
    [InlineData("4096", 4096)]
    [InlineData("1KiB", 1024)]
    [InlineData("256MiB", 268_435_456)]
    [InlineData("256 mib", 268_435_456)]
    [InlineData(" 2GiB ", 2_147_483_648)]
    [InlineData("8589934591GiB", 9_223_372_035_781_033_984)]
    public void Sizes(string text, long bytes)
    {
        Assert.True(ByteSize.TryParse(text, out var size));
        Assert.Equal(bytes, size.Bytes);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("MiB")]
    [InlineData("-1")]
    [InlineData("1.5GiB")]
    [InlineData("256MB")]
    [InlineData("256M")]
    [InlineData("1,024")]
    [InlineData("0x10")]
    [InlineData("8589934592GiB")]
    [InlineData("9223372036854775808")]
    public void No_sizes(string? text) => Assert.False(ByteSize.TryParse(text, out _));

    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(1023, "1023 B")]
    [InlineData(1536, "1.5 KiB")]
    [InlineData(268_435_456, "256.0 MiB")]
    public void Rounded(long bytes, string expected) => Assert.Equal(expected, new ByteSize(bytes).ToRoundedString());
}
