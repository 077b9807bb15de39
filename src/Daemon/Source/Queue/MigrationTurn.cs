namespace MigrationD.Daemon.Source.Queue;

/// <summary>One migration's place in a <see cref="MigrationQueue"/>, and then among those under way, until it is disposed of.</summary>
internal sealed class MigrationTurn(MigrationQueue queue, long ticket) : IDisposable
{
    private readonly TaskCompletionSource _come = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _left;

    /// <summary>Its number in the queue.</summary>
    public long Ticket => ticket;

    /// <summary>Ends when it may begin; fails when nobody may any more.</summary>
    public Task WhenCome => _come.Task;

    /// <summary>Whether it may have begun.</summary>
    public bool HasCome => _come.Task.IsCompletedSuccessfully;

    /// <summary>It is over, or not wanted.</summary>
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
