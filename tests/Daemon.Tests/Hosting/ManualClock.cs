namespace MigrationD.Daemon.Tests.Hosting;

/// <summary>A clock whose timers end when a test says so, on the test's thread. Any number of threads may use it.</summary>
internal sealed class ManualClock : TimeProvider
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);

    private readonly Lock _lock = new();
    private readonly List<ManualTimer> _timers = [];
    private readonly SemaphoreSlim _made = new(0);
    private DateTimeOffset _now = DateTimeOffset.UnixEpoch;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override DateTimeOffset GetUtcNow()
    {
        lock (_lock)
        {
            return _now;
        }
    }

    public override long GetTimestamp() => GetUtcNow().Ticks;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new ManualTimer(this, () => callback(state));
        timer.Change(dueTime, period);
        lock (_lock)
        {
            _timers.Add(timer);
        }

        _made.Release();
        return timer;
    }

    public void Advance(TimeSpan time)
    {
        ManualTimer[] due;
        lock (_lock)
        {
            _now += time;
            due = [.. _timers.Where(timer => timer.Due <= _now)];
            foreach (ManualTimer timer in due)
            {
                timer.Due = timer.Period is { } period ? _now + period : null;
            }
        }

        foreach (ManualTimer timer in due)
        {
            timer.End();
        }
    }

    /// <summary>Ends when a timer has been made that no call of this has seen yet.</summary>
    public async Task AwaitedAsync() => Assert.True(await _made.WaitAsync(Soon), "nobody waits for the clock");

    /// <summary>Advances when somebody waits for that: see <see cref="AwaitedAsync"/>.</summary>
    public async Task AdvanceOnceAwaitedAsync(TimeSpan time)
    {
        await AwaitedAsync();
        Advance(time);
    }

    /// <summary>Advances to when the next timer ends; false when there is none now.</summary>
    public bool TryAdvanceToNext()
    {
        TimeSpan? next;
        lock (_lock)
        {
            next = _timers.Min(timer => timer.Due) - _now;
        }

        if (next is not { } after)
        {
            return false;
        }

        Advance(after);
        return true;
    }

    private sealed class ManualTimer(ManualClock clock, Action end) : ITimer
    {
        public DateTimeOffset? Due { get; set; }

        public TimeSpan? Period { get; private set; }

        public Action End => end;

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            lock (clock._lock)
            {
                Due = dueTime == Timeout.InfiniteTimeSpan ? null : clock.GetUtcNow() + dueTime;
                Period = period == Timeout.InfiniteTimeSpan || period == TimeSpan.Zero ? null : period;
            }

            return true;
        }

        public void Dispose()
        {
            lock (clock._lock)
            {
                clock._timers.Remove(this);
            }
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
