using MigrationD.Protocol.Refusals;

namespace MigrationD.Daemon.Source.Queue;

/// <summary>
/// How many migrations away from this node are under way at a time. The others wait, in the order in which they were asked for: by ticket,
/// so that one that leaves and comes back is where it was.
/// </summary>
internal sealed class MigrationQueue
{
    private readonly Lock _lock = new();
    private readonly SortedDictionary<long, MigrationTurn> _waiting = [];
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _tickets;
    private int _limit;
    private int _underWay;
    private bool _closed;

    /// <summary>A queue in which nobody waits.</summary>
    /// <param name="limit">How many may be under way at a time; at least 1.</param>
    public MigrationQueue(int limit) => _limit = limit;

    /// <summary>How many may be under way at a time. More at once lets the next ones begin; fewer ends none that has begun.</summary>
    public int Limit
    {
        get
        {
            lock (_lock)
            {
                return _limit;
            }
        }

        set
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);
            lock (_lock)
            {
                _limit = value;
                LetIn();
            }
        }
    }

    /// <summary>A task that ends when a place in the queue has changed.</summary>
    public Task Changed
    {
        get
        {
            lock (_lock)
            {
                return _changed.Task;
            }
        }
    }

    /// <summary>A number behind all that were taken before.</summary>
    public long TakeTicket() => Interlocked.Increment(ref _tickets);

    /// <summary>Begins to wait. The turn is disposed of when it is over, or not wanted any more.</summary>
    /// <param name="ticket">From <see cref="TakeTicket"/>; waits at no other place at this time.</param>
    public MigrationTurn Join(long ticket)
    {
        var turn = new MigrationTurn(this, ticket);
        lock (_lock)
        {
            if (_closed)
            {
                turn.Refuse(Closed());
                return turn;
            }

            _waiting.Add(ticket, turn);
            LetIn();
        }

        return turn;
    }

    /// <summary>Where in the queue a turn waits: 1 for the next one, 0 for one that does not wait; and how many are under way.</summary>
    public (int Place, int UnderWay) PlaceOf(MigrationTurn turn)
    {
        lock (_lock)
        {
            return (_waiting.ContainsKey(turn.Ticket) ? _waiting.Keys.TakeWhile(ticket => ticket <= turn.Ticket).Count() : 0, _underWay);
        }
    }

    /// <summary>Lets nobody begin any more, and tells those who wait so.</summary>
    public void Close()
    {
        lock (_lock)
        {
            _closed = true;
            foreach (MigrationTurn turn in _waiting.Values)
            {
                turn.Refuse(Closed());
            }

            _waiting.Clear();
            Tell();
        }
    }

    /// <summary>A turn is over, or given up.</summary>
    internal void Leave(MigrationTurn turn)
    {
        lock (_lock)
        {
            if (!_waiting.Remove(turn.Ticket) && turn.HasCome)
            {
                _underWay--;
            }

            LetIn();
        }
    }

    private static Refusal Closed() => new(Because.Unreachable, "this daemon is stopping");

    private void LetIn()
    {
        while (_underWay < _limit && _waiting.Count > 0)
        {
            MigrationTurn first = _waiting.First().Value;
            _waiting.Remove(first.Ticket);
            _underWay++;
            first.Come();
        }

        Tell();
    }

    private void Tell()
    {
        // Its continuations run elsewhere, never under the lock.
        _changed.SetResult();
        _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
