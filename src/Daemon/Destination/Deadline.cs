using MigrationD.Daemon.Migrations;
using MigrationD.Protocol.Session;

namespace MigrationD.Daemon.Destination;

/// <summary>What happens to a session unless something else does before. There is one at a time; it is set and lifted under the session's lock.</summary>
/// <param name="time">The clock.</param>
/// <param name="gate">The session's lock.</param>
/// <param name="take">Takes what has happened, under the lock.</param>
internal sealed class Deadline(TimeProvider time, Lock gate, Action<Happened<DestinationEvent>> take)
{
    private ITimer? _timer;
    private int _count;

    /// <summary>This happens after so long, and nothing else that was to.</summary>
    public void Set(TimeSpan after, Happened<DestinationEvent> happened)
    {
        Lift();
        int number = _count;
        _timer = time.CreateTimer(_ => Expire(number, happened), null, after, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Nothing happens by itself any more.</summary>
    public void Lift()
    {
        _count++;
        _timer?.Dispose();
        _timer = null;
    }

    private void Expire(int number, Happened<DestinationEvent> happened)
    {
        lock (gate)
        {
            // It may have been lifted while this waited for the lock.
            if (_count == number)
            {
                Lift();
                take(happened);
            }
        }
    }
}
