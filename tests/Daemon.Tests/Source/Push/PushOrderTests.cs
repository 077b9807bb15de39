using System.Collections.Concurrent;
using FsCheck;
using FsCheck.Fluent;
using MigrationD.Daemon.Source.Push;

namespace MigrationD.Daemon.Tests.Source.Push;

public sealed class PushOrderTests
{
    [Fact]
    public void Every_block_is_handed_out_once_whatever_is_hinted()
    {
        Gen<(int, int[])> orders =
            from blocks in Gen.Choose(1, 200)
            from hints in Gen.Choose(0, blocks - 1).ArrayOf()
            select (blocks, hints);
        Prop.ForAll(orders.ToArbitrary(), one =>
        {
            (int blocks, int[] hints) = one;
            var order = new PushOrder(blocks);
            var taken = new List<long>();
            foreach (int hint in hints)
            {
                order.Hint(hint);
                if (order.TryTake(out long block))
                {
                    taken.Add(block);
                }
            }

            while (order.TryTake(out long block))
            {
                taken.Add(block);
            }

            Assert.Equal(Enumerable.Range(0, blocks).Select(block => (long)block), taken.Order());
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Every_block_is_handed_out_once_to_several_threads()
    {
        var order = new PushOrder(10_000);
        ConcurrentBag<long> taken = [];
        Parallel.For(0, 4, _ =>
        {
            while (order.TryTake(out long block))
            {
                taken.Add(block);
                order.Hint((block * 7919) % 10_000);
            }
        });
        Assert.Equal(Enumerable.Range(0, 10_000).Select(block => (long)block), taken.Order());
    }

    [Fact]
    public void It_begins_with_the_first_block() => Assert.Equal([0, 1, 2], Take(new PushOrder(100), 3));

    [Fact]
    public void It_goes_at_once_to_where_the_guest_waits_and_on_from_there()
    {
        var order = new PushOrder(100);
        Take(order, 3);
        order.Hint(50);
        Assert.Equal(50, Take(order, 1).Single());
        Assert.Contains(51, Take(order, 4));
    }

    [Fact]
    public void Several_places_are_served_in_turn()
    {
        var order = new PushOrder(1000);
        foreach (int place in new[] { 100, 300, 500, 700 })
        {
            order.Hint(place);
            Take(order, 1);
        }

        Assert.Equal([101, 301, 501, 701], Take(order, 4).Order());
    }

    [Fact]
    public void A_hint_at_a_block_that_was_sent_changes_nothing()
    {
        var order = new PushOrder(10);
        Take(order, 5);
        order.Hint(2);
        Assert.Equal(5, Take(order, 1).Single());
    }

    private static List<long> Take(PushOrder order, int count)
    {
        var taken = new List<long>();
        for (int i = 0; i < count; i++)
        {
            Assert.True(order.TryTake(out long block));
            taken.Add(block);
        }

        return taken;
    }
}
