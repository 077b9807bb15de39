using MigrationD.Daemon.Migrations;
using MigrationD.Protocol.StateMachines;

namespace MigrationD.Daemon.Destination;

/// <summary>
/// What happens to a session unless something else does before. There is one at a time; it is set and lifted, and handled when it happens,
/// under the session's lock.
/// </summary>
internal sealed class Deadline(TimeProvider time, Lock gate, Action<Happened<DestinationEvent>> handle)
{
    private ITimer? _timer;
    private int _count;

    /// <summary>Lets this happen after so long, and nothing else that was to.</summary>
    public void Set(TimeSpan after, Happened<DestinationEvent> happened)
    {
        Lift();
        int number = _count;
        _timer = time.CreateTimer(_ => Expire(number, happened), null, after, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Lets nothing happen by itself any more.</summary>
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
                handle(happened);
            }
        }
    }
}
