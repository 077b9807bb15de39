using MigrationD.Guest.Memory;
using MigrationD.Protocol.Pages;

namespace MigrationD.Daemon.Source.Push;

/// <summary>
/// How fast one migration pushes pages, over all its lanes, those after a lost link included. The push threads wait here, each for its
/// <see cref="PushTurn"/>; what does not wait is only counted. Limits change at any time, from any thread.
/// </summary>
/// <remarks>
/// Waits come before a page is claimed, not between claiming and sending: a page that lay here would have to be sent twice if the guest
/// asked for it meanwhile. So how long the message will be is not known when it is let through: until then the longest one counts as under
/// way. Without that every lane that waits would find the same room and take it. No lane waits for another one to do something: what is
/// under way is made up for by time, as what was sent is.
/// </remarks>
internal sealed class PushPace(TimeProvider clock)
{
    /// <summary>The longest message: a block, and what is said of it. In bytes.</summary>
    public const long LongestMessage = GuestPage.BlockSize + PageRunCodec.MaxHeadBytes;

    // How long a wait goes on after its reason to end: nothing else wakes it.
    private static readonly TimeSpan LongestSleep = TimeSpan.FromMilliseconds(100);

    // Below this a sleep ends late by more than it lasts. What is slept too long is saved up.
    private static readonly TimeSpan ShortestSleep = TimeSpan.FromMilliseconds(1);

    private readonly object _lock = new();
    private readonly long _began = clock.GetTimestamp();
    private readonly TokenBucket _all = new();
    private readonly TokenBucket _postcopy = new();

    // Who came first goes first: else a lane that sends short messages could come before another one again and again.
    private readonly LinkedList<object> _waiting = new();
    private long _underWay;
    private long _urgent;

    private TimeSpan Now => clock.GetElapsedTime(_began);

    /// <summary>
    /// Sets the limits for everything and for what is pushed after the switchover, in bytes a second; 0 for none. They hold at once, for
    /// those that wait as well.
    /// </summary>
    public void Set(long all, long postcopy)
    {
        lock (_lock)
        {
            _all.SetRate(all, Now);
            _postcopy.SetRate(postcopy, Now);
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>
    /// Blocks until one message may be pushed, in the order in which lanes came, or until there is no point in it any more, which is asked
    /// at least ten times a second. A message that may be pushed counts as the longest one until <see cref="Pushed"/> or
    /// <see cref="GiveBack"/> is called.
    /// </summary>
    public bool Wait(bool isPostcopy, Func<bool> isPointless)
    {
        LinkedListNode<object>? place = null;
        try
        {
            while (!isPointless())
            {
                lock (_lock)
                {
                    bool isFirst = _waiting.First == place;
                    TimeSpan delay = Delay(isPostcopy);
                    if (isFirst && delay == TimeSpan.Zero)
                    {
                        _underWay += LongestMessage;
                        return true;
                    }

                    place ??= _waiting.AddLast(_lock);
                    var sleep = TimeSpan.FromTicks(Math.Clamp(delay.Ticks, ShortestSleep.Ticks, LongestSleep.Ticks));
                    Monitor.Wait(_lock, isFirst ? sleep : LongestSleep);
                }
            }

            return false;
        }
        finally
        {
            if (place is not null)
            {
                lock (_lock)
                {
                    _waiting.Remove(place);
                    Monitor.PulseAll(_lock);
                }
            }
        }
    }

    /// <summary>Counts a message that was let through, and has been pushed or is about to be.</summary>
    public void Pushed(long bytes, bool isPostcopy)
    {
        lock (_lock)
        {
            _all.Withdraw(bytes, Now);
            if (isPostcopy)
            {
                _postcopy.Withdraw(bytes, Now);
            }

            GiveBack();
        }
    }

    /// <summary>Gives the place of a message that was let through to others, as it is not pushed.</summary>
    public void GiveBack()
    {
        lock (_lock)
        {
            _underWay -= LongestMessage;
            if (_waiting.Count > 0)
            {
                Monitor.PulseAll(_lock);
            }
        }
    }

    /// <summary>Counts bytes that were sent without waiting here, because somebody waits for them. Never blocks.</summary>
    public void SentUrgently(long bytes) => Interlocked.Add(ref _urgent, bytes);

    private TimeSpan Delay(bool isPostcopy)
    {
        _all.WithdrawUrgent(Interlocked.Exchange(ref _urgent, 0), Now);
        TimeSpan all = _all.Delay(Now, _underWay);
        TimeSpan postcopy = isPostcopy ? _postcopy.Delay(Now, _underWay) : TimeSpan.Zero;
        return all > postcopy ? all : postcopy;
    }
}
