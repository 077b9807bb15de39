using System.Runtime.InteropServices;
using FsCheck;
using FsCheck.Fluent;
using MigrationD.Guest.Programs.Pulse;

namespace MigrationD.Guest.Tests.Programs.Pulse;

public sealed class PulsePageTests
{
    [Fact]
    public void A_page_is_intact_for_its_own_index_and_version_only()
    {
        Gen<(ulong Index, ulong Version)> pages =
            from index in ArbMap.Default.GeneratorFor<uint>()
            from version in ArbMap.Default.GeneratorFor<uint>()
            select ((ulong)index, version + 1UL);
        Prop.ForAll(pages.ToArbitrary(), pages.ToArbitrary(), (own, other) =>
        {
            ulong[] page = Page(own.Index, own.Version);
            return PulsePage.IsIntact(page, own.Index, own.Version)
                && PulsePage.IsIntact(page, other.Index, other.Version) == (own == other)
                && !PulsePage.IsIntact(page, own.Index + 1, own.Version)
                && !PulsePage.IsIntact(page, own.Index, own.Version + 1);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void A_page_of_one_content_is_none_of_the_other()
    {
        var page = new ulong[PulsePage.Words];
        PulsePage.Fill(page, 7, 3, GuestContent.Counting);
        Assert.True(PulsePage.IsIntact(page, 7, 3, GuestContent.Counting));
        Assert.False(PulsePage.IsIntact(page, 7, 3));
        Assert.False(PulsePage.IsIntact(Page(7, 3), 7, 3, GuestContent.Counting));
        Assert.Equal(page[2] + 1, page[3]);
        ulong[] next = new ulong[PulsePage.Words];
        PulsePage.Fill(next, 7, 4, GuestContent.Counting);
        Assert.True(PulseVerifier.IsBeingWritten([.. next[..100], .. page[100..]], 7, 3, GuestContent.Counting));
    }

    [Fact]
    public void Any_changed_byte_is_found()
    {
        Gen<(uint Index, uint Version, int Position, int Change)> changes =
            from index in ArbMap.Default.GeneratorFor<uint>()
            from version in ArbMap.Default.GeneratorFor<uint>()
            from position in Gen.Choose(0, GuestPage.Size - 1)
            from change in Gen.Choose(1, 255)
            select (Math.Max(index, 1), Math.Max(version, 1), position, change);
        Prop.ForAll(changes.ToArbitrary(), c =>
        {
            ulong[] page = Page(c.Index, c.Version);
            MemoryMarshal.AsBytes(page.AsSpan())[c.Position] ^= (byte)c.Change;
            return !PulsePage.IsIntact(page, c.Index, c.Version);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Every_byte_matters()
    {
        ulong[] page = Page(7, 3);
        for (int position = 0; position < GuestPage.Size; position++)
        {
            MemoryMarshal.AsBytes(page.AsSpan())[position] ^= 1;
            Assert.False(PulsePage.IsIntact(page, 7, 3), $"byte {position}");
            MemoryMarshal.AsBytes(page.AsSpan())[position] ^= 1;
        }

        Assert.True(PulsePage.IsIntact(page, 7, 3));
    }

    /// <summary>The checksum alone, as a reader that knows neither index nor version has it: no single changed word keeps it.</summary>
    [Fact]
    public void The_checksum_changes_with_any_word()
    {
        ulong[] page = Page(7, 3);
        for (int word = 0; word < PulsePage.ChecksumWord; word++)
        {
            ulong[] changed = [.. page];
            changed[word] ^= 1UL << (word % 64);
            Assert.NotEqual(Checksum(page), Checksum(changed));
        }

        Assert.Equal(page[PulsePage.ChecksumWord], Checksum(page));
    }

    [Fact]
    public void Torn_pages_are_found()
    {
        ulong[] before = Page(5, 8);
        ulong[] after = Page(5, 9);
        for (int word = 1; word < PulsePage.Words; word++)
        {
            ulong[] torn = [.. after[..word], .. before[word..]];
            Assert.Equal(word == 1 && before[0] == after[0], PulsePage.IsIntact(torn, 5, 8));
            Assert.False(PulsePage.IsIntact(torn, 5, 9));
        }
    }

    [Fact]
    public void A_page_that_is_being_written_is_new_before_old_and_nothing_else()
    {
        ulong[] before = Page(5, 8);
        ulong[] after = Page(5, 9);
        for (int word = 0; word <= PulsePage.Words; word++)
        {
            ulong[] half = [.. after[..word], .. before[word..]];
            Assert.True(PulseVerifier.IsBeingWritten(half, 5, 8), $"{word} words written");
            Assert.Equal(word is 0 or 1 or PulsePage.Words, PulseVerifier.IsBeingWritten([.. before[..word], .. after[word..]], 5, 8));
            half[300] ^= 1;
            Assert.False(PulseVerifier.IsBeingWritten(half, 5, 8));
        }

        Assert.True(PulseVerifier.IsBeingWritten([.. Page(5, 1)[..100], .. new ulong[PulsePage.Words - 100]], 5, 0));
    }

    [Fact]
    public void Version_0_is_zeros()
    {
        Assert.All(Page(9, 0), word => Assert.Equal(0UL, word));
        Assert.True(PulsePage.IsIntact(new ulong[PulsePage.Words], 9, 0));
        Assert.False(PulsePage.IsIntact(new ulong[PulsePage.Words], 0, 1));
        Assert.False(PulsePage.IsIntact(Page(9, 1), 9, 0));
    }

    [Fact]
    public void Another_length_is_refused()
    {
        Assert.Throws<ArgumentException>(() => PulsePage.Fill(new ulong[511], 0, 1));
        Assert.Throws<ArgumentException>(() => PulsePage.IsIntact(new ulong[513], 0, 1));
    }

    private static ulong[] Page(ulong index, ulong version)
    {
        var page = new ulong[PulsePage.Words];
        PulsePage.Fill(page, index, version);
        return page;
    }

    // Written down once more from the format's description.
    private static ulong Checksum(ulong[] page) =>
        page[..^1].Aggregate(0xCBF29CE484222325, (sum, word) => unchecked((sum ^ word) * 0x100000001B3));
}
