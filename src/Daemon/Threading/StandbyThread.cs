namespace MigrationD.Daemon.Threading;

/// <summary>
/// A thread that is started before it is needed and runs one piece of work when that comes: starting a thread takes up to a millisecond,
/// which in a switchover is the guest's.
/// </summary>
internal sealed class StandbyThread : IDisposable
{
    private readonly Lock _lock = new();
    private readonly SemaphoreSlim _given = new(0);
    private readonly Task _done;
    private Action? _work;
    private bool _closed;

    public StandbyThread(string name)
    {
        _done = DedicatedThread.Start(name, () =>
        {
            _given.Wait();
            _work?.Invoke();
        });
    }

    /// <summary>Runs <paramref name="work"/>; the task ends with it.</summary>
    /// <exception cref="ObjectDisposedException">The thread has ended, or has its work.</exception>
    public Task Run(Action work)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            _closed = true;
            _work = work;
        }

        _given.Release();
        return _done;
    }

    /// <summary>Ends the thread when nobody has needed it; a thread that has work keeps it.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_closed)
            {
                return;
            }

            _closed = true;
        }

        _given.Release();
    }
}
