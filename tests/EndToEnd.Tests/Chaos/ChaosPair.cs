using System.Diagnostics;

namespace MigrationD.EndToEnd.Tests.Chaos;

/// <summary>Two hosts and their daemons, which go on to the next run as long as they live.</summary>
internal sealed class ChaosPair : IAsyncDisposable
{
    private const int Continue = 18;

    private readonly DaemonProcess?[] _daemons = new DaemonProcess?[2];
    private readonly string?[] _faults = new string?[2];

    public NetworkPair Network { get; } = NetworkPair.Create();

    public DaemonProcess Source => _daemons[0]!;

    public DaemonProcess Destination => _daemons[1]!;

    public string SourceLog => _daemons[0]?.Log ?? "";

    public string DestinationLog => _daemons[1]?.Log ?? "";

    /// <summary>Has both daemons ready, the one that is to fail with the order to do so.</summary>
    public async Task PrepareAsync(string? fault)
    {
        await Task.WhenAll(
            PrepareAsync(0, fault?.StartsWith("source.", StringComparison.Ordinal) == true ? fault : null),
            PrepareAsync(1, fault?.StartsWith("destination.", StringComparison.Ordinal) == true ? fault : null));
    }

    /// <summary>Wakes a daemon that its own fault has stopped; nothing happens to one that runs.</summary>
    public void WakeFaulty()
    {
        for (int i = 0; i < 2; i++)
        {
            if (_faults[i] is not null && _daemons[i] is { HasExited: false } daemon)
            {
                // Its fault may be to end, at this very moment.
                daemon.TrySignal(Continue);
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await EndAsync(0);
        await EndAsync(1);
        Network.Dispose();
    }

    private async Task PrepareAsync(int which, string? fault)
    {
        if (_daemons[which] is { HasExited: false } && fault is null && _faults[which] is null)
        {
            return;
        }

        await EndAsync(which);
        _faults[which] = fault;
        _daemons[which] = await DaemonProcess.StartAsync(
            which == 0 ? "source" : "destination",
            start =>
            {
                (which == 0 ? Network.One : Network.Two).Enter(start);
                Order(start, fault);
            },
            "--link-timeout", "2s", "--switchover-timeout", "3s", "--recovery-timeout", "4s", "--stop-timeout", "1s");
    }

    private static void Order(ProcessStartInfo start, string? fault)
    {
        if (fault is not null)
        {
            start.Environment["MIGRATIOND_FAULT"] = fault;
        }
    }

    private async Task EndAsync(int which)
    {
        if (_daemons[which] is { } daemon)
        {
            _daemons[which] = null;
            await daemon.DisposeAsync();
        }
    }
}
