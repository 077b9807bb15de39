using System.Globalization;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using MigrationD.Daemon.Cli.Terminal;

namespace MigrationD.Daemon.Tests.Cli.Terminal;

/// <summary>What a guest writes is shown, and never obeyed.</summary>
public sealed class TerminalTextTests
{
    [Theory]
    [InlineData("plain ASCII ~ and a \\ too\n", "plain ASCII ~ and a \\ too\n")]
    [InlineData("tab\there\r\nthere\n", "tab\there\nthere\n")]
    [InlineData("\u001b[2J\u001b]0;title\u0007", "\\x1b[2J\\x1b]0;title\\x07")]
    [InlineData("over\rwrite", "over\\x0dwrite")]
    [InlineData("back\b\u007f\0", "back\\x08\\x7f\\x00")]
    [InlineData("grüße 日本 😀", "grüße 日本 😀")]
    [InlineData("\u009b31m", "\\xc2\\x9b31m")]
    [InlineData("\u202egnp.exe", "\\xe2\\x80\\xaegnp.exe")]
    [InlineData("a\u2028b\ufeffc\ue000", "a\\xe2\\x80\\xa8b\\xef\\xbb\\xbfc\\xee\\x80\\x80")]
    public void Text_stays_and_control_does_not(string written, string shown) =>
        Assert.Equal(shown, Show([Encoding.UTF8.GetBytes(written)]));

    [Theory]
    [InlineData(new byte[] { 0x9B, (byte)'m' }, "\\x9bm")]
    [InlineData(new byte[] { 0xC3, 0x28 }, "\\xc3(")]
    [InlineData(new byte[] { 0xC0, 0x9B }, "\\xc0\\x9b")]
    [InlineData(new byte[] { 0xED, 0xA0, 0x80 }, "\\xed\\xa0\\x80")]
    [InlineData(new byte[] { 0xF0, 0x9F, 0x98 }, "\\xf0\\x9f\\x98")]
    [InlineData(new byte[] { (byte)'\r' }, "\\x0d")]
    public void What_is_no_UTF8_is_shown_byte_by_byte(byte[] written, string shown) => Assert.Equal(shown, Show([written]));

    [Fact]
    public void Nothing_gets_through_wherever_it_is_cut()
    {
        Prop.ForAll(Gen.ListOf(Gen.Elements(Awkward)).ToArbitrary(), Gen.ListOf(Gen.Choose(1, 5)).ToArbitrary(), (bytes, cuts) =>
        {
            byte[] all = [.. bytes];
            string whole = Show([all]);
            string inParts = Show(Cut(all, cuts));
            bool isSafe = whole.EnumerateRunes().All(rune => rune.Value is '\n' or '\t'
                || Rune.GetUnicodeCategory(rune) is not (UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.PrivateUse
                    or UnicodeCategory.OtherNotAssigned or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator));
            return isSafe && whole == inParts;
        }).QuickCheckThrowOnFailure();
    }

    private static byte[] Awkward =>
    [
        0x1B, (byte)'[', (byte)'m', (byte)'a', (byte)'\r', (byte)'\n', (byte)'\t', 0, 7, 8, 0x7F, 0x80, 0x9B, 0xAE, 0xA8, 0xC2, 0xC3, 0xE2,
        0xED, 0xEF, 0xBB, 0xBF, 0xF0, 0x9F, 0x98, 0xFF,
    ];

    private static string Show(IEnumerable<byte[]> parts)
    {
        var text = new TerminalText();
        return string.Concat(parts.Select(part => text.Show(part))) + text.Finish();
    }

    private static IEnumerable<byte[]> Cut(byte[] all, IEnumerable<int> lengths)
    {
        int at = 0;
        foreach (int length in lengths.TakeWhile(_ => at < all.Length))
        {
            yield return all[at..Math.Min(at + length, all.Length)];
            at += length;
        }

        yield return all[Math.Min(at, all.Length)..];
    }
}
