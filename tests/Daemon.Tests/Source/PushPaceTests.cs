using MigrationD.Daemon.Source;

namespace MigrationD.Daemon.Tests.Source;

public sealed class PushPaceTests
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    private readonly StillClock _clock = new();

    [Fact]
    public async Task The_push_goes_on_when_the_time_has_come()
    {
        var pace = new PushPace(_clock);
        pace.Set(1000, 0);
        pace.Pushed(2000, isPostcopy: false);
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
        pace.Pushed(1_000_000, isPostcopy: false);
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
        pace.Pushed(1_000_000, isPostcopy: false);
        Task waiting = Task.Run(() => pace.Wait(isPostcopy: false, () => Volatile.Read(ref isOver)));
        Volatile.Write(ref isOver, true);
        await waiting.WaitAsync(Deadline);
    }

    [Fact]
    public void The_limit_of_postcopy_is_none_of_precopy()
    {
        var pace = new PushPace(_clock);
        pace.Set(0, 1000);
        pace.Pushed(1_000_000, isPostcopy: false);
        Assert.Equal(0, Asked(pace, isPostcopy: false));
        Assert.Equal(0, Asked(pace, isPostcopy: true));
        pace.Pushed(1_000_000, isPostcopy: true);
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

    /// <summary>How often a wait asks whether to go on before it is told not to; 0 when there is nothing to wait for.</summary>
    private static int Asked(PushPace pace, bool isPostcopy)
    {
        int asked = 0;
        pace.Wait(isPostcopy, () => asked++ > 1);
        return asked - 1;
    }

    /// <summary>A clock that stands still until it is told otherwise.</summary>
    private sealed class StillClock : TimeProvider
    {
        private long _now;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Interlocked.Read(ref _now);

        public void Advance(TimeSpan time) => Interlocked.Add(ref _now, time.Ticks);
    }
}
