using FsCheck;
using FsCheck.Fluent;
using MigrationD.Daemon.Source.Queue;
using MigrationD.Protocol.Refusals;

namespace MigrationD.Daemon.Tests.Source.Queue;

public sealed class MigrationQueueTests
{
    [Fact]
    public void Turns_come_in_the_order_of_the_tickets_whoever_joins_first()
    {
        var queue = new MigrationQueue(1);
        long[] tickets = [.. Enumerable.Range(0, 4).Select(_ => queue.TakeTicket())];
        using var first = queue.Join(tickets[0]);
        MigrationTurn[] others = [queue.Join(tickets[3]), queue.Join(tickets[1]), queue.Join(tickets[2])];
        Assert.True(first.HasCome);
        Assert.Equal([3, 1, 2], others.Select(turn => queue.PlaceOf(turn).Place));

        first.Dispose();
        Assert.Equal([false, true, false], others.Select(turn => turn.HasCome));
        Assert.Equal([2, 0, 1], others.Select(turn => queue.PlaceOf(turn).Place));
        others[1].Dispose();
        Assert.Equal([false, true, true], others.Select(turn => turn.HasCome));
    }

    [Fact]
    public void One_that_comes_back_is_where_it_was()
    {
        var queue = new MigrationQueue(1);
        long[] tickets = [.. Enumerable.Range(0, 3).Select(_ => queue.TakeTicket())];
        var turn = queue.Join(tickets[0]);
        using var second = queue.Join(tickets[1]);
        using var third = queue.Join(tickets[2]);
        turn.Dispose();
        Assert.True(second.HasCome);
        using var back = queue.Join(tickets[0]);
        Assert.Equal((1, 2), (queue.PlaceOf(back).Place, queue.PlaceOf(third).Place));
    }

    [Fact]
    public async Task A_higher_limit_lets_more_begin_and_a_lower_one_ends_none()
    {
        var queue = new MigrationQueue(1);
        MigrationTurn[] turns = [.. Enumerable.Range(0, 4).Select(_ => queue.Join(queue.TakeTicket()))];
        Task changed = queue.Changed;
        queue.Limit = 3;
        await changed.WaitAsync(TimeSpan.FromSeconds(30));
        Assert.Equal([true, true, true, false], turns.Select(turn => turn.HasCome));
        queue.Limit = 1;
        Assert.Equal((1, 3), queue.PlaceOf(turns[3]));
        turns[0].Dispose();
        turns[1].Dispose();
        Assert.False(turns[3].HasCome);
        turns[2].Dispose();
        Assert.True(turns[3].HasCome);
    }

    [Fact]
    public async Task A_closed_queue_tells_those_who_wait_and_those_who_come()
    {
        var queue = new MigrationQueue(1);
        using var first = queue.Join(queue.TakeTicket());
        using var waiting = queue.Join(queue.TakeTicket());
        queue.Close();
        Assert.True(first.HasCome);
        foreach (var turn in new[] { waiting, queue.Join(queue.TakeTicket()) })
        {
            var refusal = await Assert.ThrowsAsync<Refusal>(() => turn.WhenCome.WaitAsync(TimeSpan.FromSeconds(30)));
            Assert.Contains("stopping", refusal.Message, StringComparison.Ordinal);
            turn.Dispose();
        }
    }

    [Fact]
    public void Whatever_happens_no_more_are_under_way_than_may_be_and_nobody_waits_without_need()
    {
        // Each number is one step: a join, an end of one that is under way, a change of mind of one that waits, another limit.
        Prop.ForAll(Gen.Choose(0, 99).ListOf(60).ToArbitrary(), steps =>
        {
            var queue = new MigrationQueue(2);
            var turns = new List<MigrationTurn>();
            int limit = 2;
            foreach (int step in steps)
            {
                int before = turns.Count(turn => turn.HasCome);
                switch (step % 5)
                {
                    case 0 or 1:
                        turns.Add(queue.Join(queue.TakeTicket()));
                        break;
                    case 2 or 3 when turns.Where(turn => turn.HasCome == (step % 5 == 2)).ToArray() is { Length: > 0 } candidates:
                        MigrationTurn leaves = candidates[step % candidates.Length];
                        before -= leaves.HasCome ? 1 : 0;
                        turns.Remove(leaves);
                        leaves.Dispose();
                        leaves.Dispose();
                        break;
                    case 4:
                        limit = queue.Limit = (step % 4) + 1;
                        break;
                    default:
                        break;
                }

                int underWay = turns.Count(turn => turn.HasCome);
                int waiting = turns.Count - underWay;
                bool inOrder = turns.SkipWhile(turn => turn.HasCome).All(turn => !turn.HasCome);
                if (underWay > Math.Max(limit, before) || (waiting > 0 && underWay < limit) || !inOrder)
                {
                    return false;
                }
            }

            return true;
        }).QuickCheckThrowOnFailure();
    }
}
