using System.Diagnostics;
using MigrationD.Daemon.Source.Push;

namespace MigrationD.Daemon.Tests.Source.Push;

public sealed class PushPaceTests
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    private readonly StillClock _clock = new();

    [Fact]
    public async Task The_push_goes_on_when_the_time_has_come()
    {
        var pace = new PushPace(_clock);
        pace.Set(1000, 0);
        Push(pace, 2000);
        _clock.Advance(TimeSpan.FromSeconds(1.9));
        Assert.NotEqual(0, Asked(pace, isPostcopy: false));
        Task waiting = Task.Run(() => pace.Wait(isPostcopy: false, () => false));
        _clock.Advance(TimeSpan.FromSeconds(0.1));
        await waiting.WaitAsync(Deadline);
    }

    [Fact]
    public async Task A_wait_ends_when_the_limit_is_lifted()
    {
        var pace = new PushPace(_clock);
        pace.Set(1000, 0);
        Push(pace, 1_000_000);
        Task waiting = Task.Run(() => pace.Wait(isPostcopy: false, () => false));
        pace.Set(0, 0);
        await waiting.WaitAsync(Deadline);
    }

    [Fact]
    public async Task A_wait_ends_when_it_has_no_point_any_more()
    {
        bool isOver = false;
        var pace = new PushPace(_clock);
        pace.Set(1000, 0);
        Push(pace, 1_000_000);
        Task waiting = Task.Run(() => pace.Wait(isPostcopy: false, () => Volatile.Read(ref isOver)));
        Volatile.Write(ref isOver, true);
        await waiting.WaitAsync(Deadline);
    }

    [Fact]
    public void The_limit_of_postcopy_is_none_of_precopy()
    {
        var pace = new PushPace(_clock);
        pace.Set(0, 1000);
        Push(pace, 1_000_000);
        Assert.Equal(0, Asked(pace, isPostcopy: false));
        Assert.Equal(0, Asked(pace, isPostcopy: true));
        Push(pace, 1_000_000, isPostcopy: true);
        Assert.Equal(0, Asked(pace, isPostcopy: false));
        Assert.NotEqual(0, Asked(pace, isPostcopy: true));
    }

    [Fact]
    public void Urgent_pages_use_up_what_the_push_may_send_but_not_the_limit_of_its_own()
    {
        var pace = new PushPace(_clock);
        pace.Set(0, 1000);
        pace.SentUrgently(1_000_000);
        Assert.Equal(0, Asked(pace, isPostcopy: true));
        pace.Set(1000, 1000);
        pace.SentUrgently(1_000_000);
        Assert.NotEqual(0, Asked(pace, isPostcopy: true));
    }

    [Fact]
    public async Task Lanes_that_wait_together_are_let_through_one_message_at_a_time()
    {
        const int Lanes = 6;
        const int Messages = 2;
        var pace = new PushPace(_clock);
        pace.Set(PushPace.LongestMessage, 0);
        int letThrough = 0;
        int sent = 0;
        Task lanes = Task.WhenAll(Enumerable.Range(0, Lanes).Select(_ => OnThread(() =>
        {
            using var turn = new PushTurn(pace);
            for (int message = 0; message < Messages; message++)
            {
                Assert.True(turn.Wait(isPostcopy: false, () => false));
                Interlocked.Increment(ref letThrough);

                // Whoever would be let through before this one is counted has the time to be.
                Thread.Yield();
                turn.Send(PushPace.LongestMessage);
                Interlocked.Increment(ref sent);
            }
        })).ToArray());
        var elapsed = Stopwatch.StartNew();
        for (int expected = 1; expected <= Lanes * Messages; expected++)
        {
            while (Volatile.Read(ref sent) < expected)
            {
                Assert.True(elapsed.Elapsed < Deadline, $"message {expected} waits for ever");
                Thread.Yield();
            }

            Assert.Equal(expected, Volatile.Read(ref letThrough));
            _clock.Advance(TimeSpan.FromSeconds(1));
        }

        await lanes.WaitAsync(Deadline);
    }

    [Fact]
    public void What_is_under_way_counts_as_the_longest_message_until_it_is_known()
    {
        var pace = new PushPace(_clock);
        pace.Set(1000, 0);
        using var first = new PushTurn(pace);
        Assert.True(first.Wait(isPostcopy: false, () => false));
        Assert.NotEqual(0, Asked(pace, isPostcopy: false));
        first.Send(10);
        _clock.Advance(TimeSpan.FromMilliseconds(10));
        Assert.Equal(0, Asked(pace, isPostcopy: false));
    }

    [Fact]
    public async Task A_lane_that_ends_in_its_turn_lets_others_go_on()
    {
        var pace = new PushPace(_clock);
        pace.Set(1000, 0);
        var first = new PushTurn(pace);
        Assert.True(first.Wait(isPostcopy: false, () => false));
        Task second = OnThread(() =>
        {
            using var turn = new PushTurn(pace);
            turn.Wait(isPostcopy: false, () => false);
        });
        first.Dispose();
        await second.WaitAsync(Deadline);
    }

    [Fact]
    public async Task A_lane_that_gives_up_waiting_keeps_nobody_behind_it()
    {
        var pace = new PushPace(_clock);
        pace.Set(1000, 0);
        Push(pace, 1_000_000);
        bool isOver = false;
        using var asked = new SemaphoreSlim(0);
        Task<bool> first = Task.Factory.StartNew(
            () => pace.Wait(isPostcopy: false, () => asked.Release() >= 0 && Volatile.Read(ref isOver)), TaskCreationOptions.LongRunning);

        // Asked for the second time it has its place, ahead of the next one.
        Assert.True(await asked.WaitAsync(Deadline) && await asked.WaitAsync(Deadline));
        Task<bool> second = Task.Factory.StartNew(() => pace.Wait(isPostcopy: false, () => false), TaskCreationOptions.LongRunning);
        Volatile.Write(ref isOver, true);
        Assert.False(await first.WaitAsync(Deadline));
        _clock.Advance(TimeSpan.FromSeconds(1000));
        Assert.True(await second.WaitAsync(Deadline));
    }

    [Fact]
    public void A_turn_that_was_not_used_is_there_still()
    {
        var pace = new PushPace(_clock);
        pace.Set(1000, 0);
        using var turn = new PushTurn(pace);
        Assert.True(turn.Wait(isPostcopy: false, () => false));
        Assert.True(turn.Wait(isPostcopy: false, () => throw new InvalidOperationException("it waited again")));
    }

    [Fact]
    public void What_did_not_wait_is_made_up_for_by_no_more_than_a_second()
    {
        var pace = new PushPace(_clock);
        pace.Set(1000, 0);
        using var turn = new PushTurn(pace);
        turn.Send(PushPace.LongestMessage);
        Assert.NotEqual(0, Asked(pace, isPostcopy: true));
        _clock.Advance(TimeSpan.FromSeconds(0.9));
        Assert.NotEqual(0, Asked(pace, isPostcopy: true));
        _clock.Advance(TimeSpan.FromSeconds(0.1));
        Assert.Equal(0, Asked(pace, isPostcopy: true));

        // What did is, to the last byte.
        Assert.True(turn.Wait(isPostcopy: true, () => false));
        turn.Send(PushPace.LongestMessage);
        _clock.Advance(TimeSpan.FromSeconds(PushPace.LongestMessage / 1000));
        Assert.NotEqual(0, Asked(pace, isPostcopy: true));
        _clock.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(0, Asked(pace, isPostcopy: true));
    }

    private static Task OnThread(Action work) => Task.Factory.StartNew(work, TaskCreationOptions.LongRunning);

    private static void Push(PushPace pace, long bytes, bool isPostcopy = false)
    {
        Assert.True(pace.Wait(isPostcopy, () => false));
        pace.Pushed(bytes, isPostcopy);
    }

    /// <summary>How often a wait asks whether to go on before it is told not to; 0 when there is nothing to wait for.</summary>
    private static int Asked(PushPace pace, bool isPostcopy)
    {
        int asked = 0;
        if (pace.Wait(isPostcopy, () => asked++ > 1))
        {
            pace.GiveBack();
        }

        return asked - 1;
    }

    /// <summary>A clock that stands still until it is told otherwise.</summary>
    private sealed class StillClock : TimeProvider
    {
        private long _now;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public double Seconds => TimeSpan.FromTicks(GetTimestamp()).TotalSeconds;

        public override long GetTimestamp() => Interlocked.Read(ref _now);

        public void Advance(TimeSpan time) => Interlocked.Add(ref _now, time.Ticks);
    }
}
