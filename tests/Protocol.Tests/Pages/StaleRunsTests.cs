using FsCheck;
using FsCheck.Fluent;
using MigrationD.Protocol.Pages;

namespace MigrationD.Protocol.Tests.Pages;

/// <summary>Runs of stale pages, there and back; and what is no such thing.</summary>
public sealed class StaleRunsTests
{
    [Fact]
    public void What_is_packed_is_unpacked() => Prop.ForAll(
        ArbMap.Default.ArbFor<bool[]>(),
        stale =>
        {
            (long First, long Count)[] runs = [.. Runs(stale)];
            return StaleRuns.Unpack([.. StaleRuns.Pack(runs)], Math.Max(1, stale.Length)).SequenceEqual(runs);
        }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData(new ulong[] { 1 }, "1 numbers")]
    [InlineData(new ulong[] { 0, 0 }, "stale run 0 is 0 pages")]
    [InlineData(new ulong[] { 0, 101 }, "stale run 0 is 101 pages, 0 behind page 0")]
    [InlineData(new ulong[] { 101, 1 }, "stale run 0 is 1 pages, 101 behind page 0")]
    [InlineData(new ulong[] { 50, 10, 40, 1 }, "stale run 1 is 1 pages, 40 behind page 60")]
    [InlineData(new ulong[] { 1, ulong.MaxValue }, "there are 100 pages")]
    [InlineData(new ulong[] { ulong.MaxValue, 2 }, "there are 100 pages")]
    public void What_no_memory_has_is_refused(ulong[] packed, string why)
    {
        var error = Assert.Throws<InvalidDataException>(() => StaleRuns.Unpack(packed, 100));
        Assert.Contains(why, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void No_numbers_give_runs_outside_the_memory() => Prop.ForAll(
        ArbMap.Default.ArbFor<ulong[]>(),
        packed =>
        {
            try
            {
                return StaleRuns.Unpack(packed, 100).All(run => run.First >= 0 && run.Count > 0 && run.First + run.Count <= 100);
            }
            catch (InvalidDataException)
            {
                return true;
            }
        }).QuickCheckThrowOnFailure();

    private static IEnumerable<(long First, long Count)> Runs(bool[] stale)
    {
        for (int first = 0; first < stale.Length;)
        {
            int end = first;
            while (end < stale.Length && stale[end])
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
