using FsCheck;
using FsCheck.Fluent;
using MigrationD.Daemon.Destination;
using MigrationD.Guest.Memory;
using MigrationD.Guest.Userfault;
using MigrationD.Protocol.Pages;

namespace MigrationD.Daemon.Tests.Destination;

public sealed class ConfirmedBlocksTests
{
    private const int Blocks = 12;

    [Fact]
    public void A_block_is_told_of_once_and_only_when_it_is_whole()
    {
        var received = new ReceivedPages(Blocks * GuestPage.PerBlock);
        var confirmed = new ConfirmedBlocks(received);
        received.Mark(GuestPage.PerBlock, (2 * GuestPage.PerBlock) - 1);
        Assert.Equal([(1L, 1L)], confirmed.TakeNew());
        Assert.Empty(confirmed.TakeNew());
        received.Mark((3 * GuestPage.PerBlock) - 1, 1);
        Assert.Equal([(2L, 1L)], confirmed.TakeNew());
        // Whoever reads another lane has not heard of it.
        Assert.Equal([(1L, 2L)], new ConfirmedBlocks(received).TakeNew());
    }

    [Fact]
    public void However_blocks_come_each_is_told_of_once_and_as_it_is_packed() =>
        Prop.ForAll(Gen.Choose(0, Blocks - 1).ListOf(30).ToArbitrary(), order =>
        {
            var received = new ReceivedPages(Blocks * GuestPage.PerBlock);
            var confirmed = new ConfirmedBlocks(received);
            var told = new List<long>();
            int step = 0;
            foreach (int block in order)
            {
                received.Mark((long)block * GuestPage.PerBlock, GuestPage.PerBlock);
                if (step++ % 3 == 2)
                {
                    ulong[] packed = [.. RunList.Pack(confirmed.TakeNew())];
                    told.AddRange(RunList.Unpack(packed, Blocks).SelectMany(run => Range(run.First, run.Count)));
                }
            }

            told.AddRange(confirmed.TakeNew().SelectMany(run => Range(run.First, run.Count)));
            return told.Order().SequenceEqual(order.Distinct().Select(block => (long)block).Order());
        }).QuickCheckThrowOnFailure();

    private static IEnumerable<long> Range(long first, long count) => Enumerable.Range((int)first, (int)count).Select(block => (long)block);
}
