namespace MigrationD.Daemon.Source;

/// <summary>
/// How fast one migration pushes pages, over all its lanes, those after a lost link included. The push thread waits here; urgent pages are
/// only counted. Limits change at any time, from any thread.
/// </summary>
/// <remarks>
/// Waits come before a page is claimed, not between claiming and sending: a page that lay here would have to be sent twice if the guest asked
/// for it meanwhile.
/// </remarks>
internal sealed class PushPace(TimeProvider clock)
{
    // How long a wait goes on after its reason to end: nothing else wakes it.
    private static readonly TimeSpan LongestSleep = TimeSpan.FromMilliseconds(100);

    // Below this a sleep ends late by more than it lasts. What is slept too long is saved up.
    private static readonly TimeSpan ShortestSleep = TimeSpan.FromMilliseconds(1);

    private readonly object _lock = new();
    private readonly long _began = clock.GetTimestamp();
    private readonly TokenBucket _all = new();
    private readonly TokenBucket _postcopy = new();
    private long _urgent;

    private TimeSpan Now => clock.GetElapsedTime(_began);

    /// <summary>Sets both limits, in bytes a second; 0 for none. Whoever waits goes by them at once.</summary>
    /// <param name="all">For everything.</param>
    /// <param name="postcopy">For what is pushed after the switchover.</param>
    public void Set(long all, long postcopy)
    {
        lock (_lock)
        {
            _all.SetRate(all, Now);
            _postcopy.SetRate(postcopy, Now);
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>Blocks until something may be pushed, or until there is no point in it any more.</summary>
    /// <param name="isPostcopy">Whether the guest has been switched over.</param>
    /// <param name="isPointless">Asked at least ten times a second; true ends the wait.</param>
    public void Wait(bool isPostcopy, Func<bool> isPointless)
    {
        while (!isPointless())
        {
            lock (_lock)
            {
                TimeSpan delay = Delay(isPostcopy);
                if (delay == TimeSpan.Zero)
                {
                    return;
                }

                Monitor.Wait(_lock, TimeSpan.FromTicks(Math.Clamp(delay.Ticks, ShortestSleep.Ticks, LongestSleep.Ticks)));
            }
        }
    }

    /// <summary>Bytes were pushed.</summary>
    public void Pushed(long bytes, bool isPostcopy)
    {
        lock (_lock)
        {
            _all.Take(bytes, Now);
            if (isPostcopy)
            {
                _postcopy.Take(bytes, Now);
            }
        }
    }

    /// <summary>Bytes were sent that somebody waited for. Never blocks.</summary>
    public void SentUrgently(long bytes) => Interlocked.Add(ref _urgent, bytes);

    private TimeSpan Delay(bool isPostcopy)
    {
        _all.TakeUrgent(Interlocked.Exchange(ref _urgent, 0), Now);
        TimeSpan all = _all.Delay(Now);
        TimeSpan postcopy = isPostcopy ? _postcopy.Delay(Now) : TimeSpan.Zero;
        return all > postcopy ? all : postcopy;
    }
}
