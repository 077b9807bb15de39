using System.Collections.Concurrent;
using MigrationD.Daemon.Source.Push;

namespace MigrationD.Daemon.Tests.Source.Push;

public sealed class RoundBlocksTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(10_000)]
    public void Every_block_is_handed_out_once_to_several_threads(long count)
    {
        var blocks = new RoundBlocks(count);
        ConcurrentBag<long> taken = [];
        Parallel.For(0, 4, _ =>
        {
            while (blocks.TryTake(out long block))
            {
                taken.Add(block);
            }
        });
        Assert.Equal(Enumerable.Range(0, (int)count).Select(block => (long)block), taken.Order());
        Assert.False(blocks.TryTake(out _));
    }
}
