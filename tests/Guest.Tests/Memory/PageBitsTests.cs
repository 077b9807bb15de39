using FsCheck;
using FsCheck.Fluent;

namespace MigrationD.Guest.Tests.Memory;

public sealed class PageBitsTests
{
    /// <summary>Long runs of marked and unmarked pages, as a guest's are, so that whole words are walked over.</summary>
    private static readonly Gen<(bool[] Marked, int From, int End)> Bitmaps =
        from runs in (from length in Gen.Frequency((3, Gen.Choose(1, 5)), (1, Gen.Choose(1, 200))) select length).NonEmptyListOf()
        from startsMarked in ArbMap.Default.GeneratorFor<bool>()
        let marked = runs.SelectMany((length, run) => Enumerable.Repeat(run % 2 == 0 == startsMarked, length)).ToArray()
        from @from in Gen.Choose(0, marked.Length)
        from end in Gen.Choose(@from, marked.Length)
        select (marked, @from, end);

    [Fact]
    public void It_finds_and_counts_what_one_finds_bit_by_bit() =>
        Prop.ForAll(Bitmaps.ToArbitrary(), one =>
        {
            ulong[] words = Words(one.Marked);
            bool[] part = one.Marked[one.From..one.End];
            Assert.Equal(part.Count(set => set), PageBits.CountIn(words, one.From, one.End));
            Assert.Equal(one.From + First(part, true), PageBits.NextSet(words, one.From, one.End));
            Assert.Equal(one.From + First(part, false), PageBits.NextClear(words, one.From, one.End));
            Assert.Equal(one.Marked, Enumerable.Range(0, one.Marked.Length).Select(page => PageBits.IsSet(words, page)));
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void The_parts_of_a_range_are_all_of_it_and_nothing_else() =>
        Prop.ForAll(Bitmaps.ToArbitrary(), one =>
        {
            ulong[] words = new ulong[PageBits.WordsFor(one.Marked.Length)];
            for (long page = one.From; page < one.End;)
            {
                (int word, ulong bits, long next) = PageBits.FirstPart(page, one.End);
                Assert.Equal(0UL, words[word]);
                Assert.Equal(next - page, (long)ulong.PopCount(bits));
                words[word] = bits;
                page = next;
            }

            Assert.Equal(Words([.. one.Marked.Select((_, page) => page >= one.From && page < one.End)]), words);
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void A_page_that_there_is_not_is_refused()
    {
        Assert.Throws<IndexOutOfRangeException>(() => PageBits.IsSet(new ulong[2], 128));
        Assert.Throws<IndexOutOfRangeException>(() => PageBits.IsSet(new ulong[2], -1));
    }

    private static int First(bool[] part, bool marked) => Array.IndexOf(part, marked) is var at and >= 0 ? at : part.Length;

    private static ulong[] Words(bool[] marked)
    {
        ulong[] words = new ulong[(marked.Length + 63) / 64];
        for (int page = 0; page < marked.Length; page++)
        {
            words[page / 64] |= marked[page] ? 1UL << (page % 64) : 0;
        }

        return words;
    }
}
