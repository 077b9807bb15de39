using MigrationD.Guest.Devices;
using MigrationD.Guest.Memory;
using MigrationD.Guest.Programs.Pulse;
using MigrationD.Guest.State;
using MigrationD.Guest.Threads;

namespace MigrationD.Guest.Kinds;

/// <summary>All walkers of a workload guest: what it has in place of vCPUs and devices, and so the only section of its state.</summary>
internal sealed class Walkers : Device<WalkersState>
{
    private readonly Walker[] _walkers;

    /// <summary>Walkers at their start, one more of <paramref name="crew"/> each.</summary>
    public Walkers(GuestSpec spec, GuestMemory memory, VcpuCrew crew)
        : base("walkers", sectionVersion: 1, WalkersState.Parser)
    {
        var layout = new PulseLayout(spec);
        _walkers =
            [.. Enumerable.Range(0, spec.Vcpus).Select(number => new Walker(layout, memory, spec.Pattern, spec.Content, number, crew))];
    }

    /// <summary>The counters; at any time.</summary>
    public GuestReport Report() => GuestReport.Over(_walkers.Select(walker => walker.Report()));

    /// <inheritdoc/>
    protected override WalkersState Save() => new()
    {
        RealtimeUnixNs = Realtime.NowUnixNanoseconds(),
        Walkers = { _walkers.Select(walker => walker.Save()) },
    };

    /// <inheritdoc/>
    protected override void Check(WalkersState state)
    {
        if (state.Walkers.Count != _walkers.Length)
        {
            throw new GuestStateException($"section '{Name}' is about {state.Walkers.Count} vCPUs, the guest has {_walkers.Length}");
        }

        for (int number = 0; number < _walkers.Length; number++)
        {
            _walkers[number].Check(state.Walkers[number]);
        }
    }

    /// <inheritdoc/>
    protected override void Load(WalkersState state)
    {
        long away = Math.Max(0, Realtime.NowUnixNanoseconds() - state.RealtimeUnixNs);
        for (int number = 0; number < _walkers.Length; number++)
        {
            _walkers[number].Load(state.Walkers[number], away);
        }
    }
}
