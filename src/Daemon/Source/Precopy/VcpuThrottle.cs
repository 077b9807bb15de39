using MigrationD.Daemon.Threading;
using MigrationD.Guest;

namespace MigrationD.Daemon.Source.Precopy;

/// <summary>
/// Holds a running guest back so that it writes less: its vCPUs run for a while and stand still for a while, in turn. Nobody else pauses or
/// resumes the guest until this is disposed of, and then it runs.
/// </summary>
internal sealed class VcpuThrottle(IGuest guest) : IDisposable
{
    // As long as QEMU's: long enough for a pause to cost little beside it, short enough for a guest to stay responsive.
    private static readonly TimeSpan RunsFor = TimeSpan.FromMilliseconds(10);

    private readonly ManualResetEventSlim _over = new();
    private Task? _thread;
    private volatile int _percent;

    /// <summary>Which part of the time the vCPUs stand still, in percent; 0 to 99.</summary>
    public int Percent
    {
        get => _percent;
        set
        {
            ArgumentOutOfRangeException.ThrowIfNegative(value);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(value, 99);
            _percent = value;
            if (value > 0)
            {
                _thread ??= DedicatedThread.Start($"throttle {guest.Spec.Name}", TakeTurns);
            }
        }
    }

    /// <summary>How long the vCPUs stand still after each time in which they run.</summary>
    public static TimeSpan PauseFor(int percent) => RunsFor * percent / (100 - percent);

    /// <summary>Lets the guest run as it likes; when this returns, it does.</summary>
    public void Dispose()
    {
        _over.Set();
        _thread?.Wait();
        _over.Dispose();
    }

    private void TakeTurns()
    {
        while (!_over.Wait(RunsFor))
        {
            guest.Pause();
            try
            {
                _over.Wait(PauseFor(_percent));
            }
            finally
            {
                guest.Resume();
            }
        }
    }
}
