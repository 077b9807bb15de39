namespace MigrationD.Daemon.Source.Queue;

/// <summary>
/// How many migrations away from this node are under way at a time. The others wait, in the order in which they were asked for: by ticket,
/// so that one that leaves and comes back is where it was.
/// </summary>
internal sealed class MigrationQueue(int limit)
{
    private readonly Lock _lock = new();
    private readonly SortedDictionary<long, MigrationTurn> _waiting = [];
    private volatile TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _tickets;
    private volatile int _limit = limit;
    private int _underWay;
    private bool _closed;

    /// <summary>How many may be under way at a time. More at once lets the next ones begin; fewer ends none that has begun.</summary>
    public int Limit
    {
        get => _limit;
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
    public Task Changed => _changed.Task;

    /// <summary>Draws a number behind all that were drawn before.</summary>
    public long TakeTicket() => Interlocked.Increment(ref _tickets);

    /// <summary>
    /// Begins to wait by a ticket, which waits at no other place at this time. The turn is disposed of when it is over, or not wanted any
    /// more.
    /// </summary>
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

    /// <summary>Says where in the queue a turn waits, 1 for the next, 0 for one that does not wait; and how many are under way.</summary>
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

    /// <summary>Gives the place of a turn that is over, or given up, to the next.</summary>
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

/// <summary>One migration's place in a <see cref="MigrationQueue"/>, and then among those under way, until it is disposed of.</summary>
internal sealed class MigrationTurn(MigrationQueue queue, long ticket) : IDisposable
{
    private readonly TaskCompletionSource _come = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _left;

    public long Ticket => ticket;

    /// <summary>Ends when the migration may begin; fails when none may any more.</summary>
    public Task WhenCome => _come.Task;

    public bool HasCome => _come.Task.IsCompletedSuccessfully;

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _left, 1) == 0)
        {
            queue.Leave(this);
        }
    }

    internal void Come() => _come.SetResult();

    internal void Refuse(Exception why) => _come.SetException(why);
}
