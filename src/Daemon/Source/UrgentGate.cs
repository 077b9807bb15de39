namespace MigrationD.Daemon.Source;

/// <summary>How many urgent pages are being answered right now: while there are any, the push stands back.</summary>
internal sealed class UrgentGate : IDisposable
{
    // A push that never moves would be as bad: after this long it sends one more message anyway.
    private static readonly TimeSpan LongestStandBack = TimeSpan.FromMilliseconds(1);

    private readonly ManualResetEventSlim _idle = new(initialState: true, spinCount: 0);
    private int _open;

    public void Enter()
    {
        if (Interlocked.Increment(ref _open) == 1)
        {
            _idle.Reset();
        }
    }

    public void Leave()
    {
        if (Interlocked.Decrement(ref _open) == 0)
        {
            _idle.Set();
        }
    }

    /// <summary>Waits until nothing urgent is open, but not for long.</summary>
    public void StandBack()
    {
        if (Volatile.Read(ref _open) != 0)
        {
            _idle.Wait(LongestStandBack);
        }
    }

    public void Dispose() => _idle.Dispose();
}
