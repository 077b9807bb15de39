using MigrationD.Guest.Devices;
using MigrationD.Guest.State;
using MigrationD.Guest.Threads;

namespace MigrationD.Guest.Kinds;

/// <summary>All walkers of a workload guest: what it has in place of vCPUs and devices, and so the only section of its state.</summary>
internal sealed class Walkers(GuestSpec spec, GuestMemory memory, VcpuCrew crew)
    : Device<WalkersState>("walkers", sectionVersion: 1, WalkersState.Parser)
{
    private readonly Walker[] _walkers = [.. Enumerable.Range(0, spec.Vcpus).Select(number => new Walker(spec, memory, number, crew))];

    public GuestReport Report() => GuestReport.Over(_walkers.Select(walker => walker.Report()));

    protected override WalkersState Save() => new()
    {
        RealtimeUnixNs = Realtime.NowUnixNanoseconds(),
        Walkers = { _walkers.Select(walker => walker.Save()) },
    };

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

    protected override void Load(WalkersState state)
    {
        long away = Math.Max(0, Realtime.NowUnixNanoseconds() - state.RealtimeUnixNs);
        for (int number = 0; number < _walkers.Length; number++)
        {
            _walkers[number].Load(state.Walkers[number], away);
        }
    }
}
