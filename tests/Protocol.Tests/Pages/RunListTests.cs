using FsCheck;
using FsCheck.Fluent;
using MigrationD.Protocol.Pages;

namespace MigrationD.Protocol.Tests.Pages;

/// <summary>Runs of pages, there and back; and what is no such thing.</summary>
public sealed class RunListTests
{
    [Fact]
    public void What_is_packed_is_unpacked() => Prop.ForAll(
        ArbMap.Default.ArbFor<bool[]>(),
        set =>
        {
            (long First, long Count)[] runs = [.. Runs(set)];
            return RunList.Unpack([.. RunList.Pack(runs)], Math.Max(1, set.Length)).SequenceEqual(runs);
        }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData(new ulong[] { 1 }, "has 1 numbers")]
    [InlineData(new ulong[] { 0, 0 }, "run 0 is 0 long")]
    [InlineData(new ulong[] { 0, 101 }, "run 0 is 101 long and 0 behind the end of the one before, 0;")]
    [InlineData(new ulong[] { 101, 1 }, "run 0 is 1 long and 101 behind the end of the one before, 0;")]
    [InlineData(new ulong[] { 50, 10, 40, 1 }, "run 1 is 1 long and 40 behind the end of the one before, 60;")]
    [InlineData(new ulong[] { 1, ulong.MaxValue }, "there are 100 in all")]
    [InlineData(new ulong[] { ulong.MaxValue, 2 }, "there are 100 in all")]
    public void What_no_memory_has_is_refused(ulong[] packed, string why)
    {
        var error = Assert.Throws<InvalidDataException>(() => RunList.Unpack(packed, 100));
        Assert.Contains(why, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void No_numbers_give_runs_outside_the_memory() => Prop.ForAll(
        ArbMap.Default.ArbFor<ulong[]>(),
        packed =>
        {
            try
            {
                return RunList.Unpack(packed, 100).All(run => run.First >= 0 && run.Count > 0 && run.First + run.Count <= 100);
            }
            catch (InvalidDataException)
            {
                return true;
            }
        }).QuickCheckThrowOnFailure();

    private static IEnumerable<(long First, long Count)> Runs(bool[] set)
    {
        for (int first = 0; first < set.Length;)
        {
            int end = first;
            while (end < set.Length && set[end])
            {
                end++;
            }

            if (end > first)
            {
                yield return (first, end - first);
            }

            first = end + 1;
        }
    }
}
