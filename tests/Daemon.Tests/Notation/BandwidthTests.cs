using FsCheck;
using FsCheck.Fluent;
using MigrationD.Daemon.Notation;

namespace MigrationD.Daemon.Tests.Notation;

public sealed class BandwidthTests
{
    [Theory]
    [InlineData("500MiB/s", 524_288_000UL)]
    [InlineData("500MiB", 524_288_000UL)]
    [InlineData("62.5 MB/s", 62_500_000UL)]
    [InlineData("1Gbit", 125_000_000UL)]
    [InlineData("2.5Gbit/s", 312_500_000UL)]
    [InlineData("100Mbit", 12_500_000UL)]
    [InlineData("64kbit", 8000UL)]
    [InlineData("1KiB/s", 1024UL)]
    [InlineData("2kB/s", 2000UL)]
    [InlineData("1GB/s", 1_000_000_000UL)]
    [InlineData("1GiB/s", 1_073_741_824UL)]
    [InlineData("0", 0UL)]
    [InlineData("unlimited", 0UL)]
    public void A_rate_is_read(string text, ulong expected)
    {
        Assert.True(Bandwidth.TryParse(text, out var bandwidth));
        Assert.Equal(expected, bandwidth.BytesPerSecond);
    }

    [Theory]
    [InlineData("")]
    [InlineData("500")]
    [InlineData("-1MiB/s")]
    [InlineData("MiB/s")]
    [InlineData("100Mb")]
    [InlineData("1e3MiB/s")]
    [InlineData("NaNMiB/s")]
    [InlineData("0MiB/s")]
    [InlineData("8kbit")]
    [InlineData("99999999999GiB/s")]
    [InlineData("1MiB/m")]
    [InlineData("fast")]
    public void What_is_none_is_refused(string text) => Assert.False(Bandwidth.TryParse(text, out _));

    [Fact]
    public void Any_text_is_read_or_refused() =>
        Prop.ForAll<NonNull<string>>(text => !Bandwidth.TryParse(text.Get, out var one) || one.BytesPerSecond is 0 or >= 1024)
            .QuickCheckThrowOnFailure();

    [Fact]
    public void It_is_shown_rounded() => Assert.Equal(
        ("119.2 MiB/s", "unlimited"), (new Bandwidth(125_000_000).ToString(), new Bandwidth(0).ToString()));
}
