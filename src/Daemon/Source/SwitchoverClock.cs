using System.Diagnostics;

namespace MigrationD.Daemon.Source;

/// <summary>When each step of the switchover was over: where the downtime went.</summary>
internal sealed class SwitchoverClock
{
    private long _begun;
    private long _paused;
    private long _saved;
    private long _loaded;
    private long _running;

    public TimeSpan Pause => Stopwatch.GetElapsedTime(_begun, _paused);

    public TimeSpan Save => Stopwatch.GetElapsedTime(_paused, _saved);

    public TimeSpan Load => Stopwatch.GetElapsedTime(_saved, _loaded);

    public TimeSpan Run => Stopwatch.GetElapsedTime(_loaded, _running);

    /// <summary>From the moment the first vCPU was asked to stop until the destination said that the guest runs.</summary>
    public TimeSpan Downtime => Stopwatch.GetElapsedTime(_begun, _running);

    public void Begin() => _begun = Stopwatch.GetTimestamp();

    public void Paused() => _paused = Stopwatch.GetTimestamp();

    public void Saved() => _saved = Stopwatch.GetTimestamp();

    public void Loaded() => _loaded = Stopwatch.GetTimestamp();

    /// <summary>Takes down when the destination said that the guest runs, as a timestamp of <see cref="Stopwatch"/>.</summary>
    public void Running(long at) => _running = at;
}
