using Google.Protobuf;
using MigrationD.Guest.Devices;
using MigrationD.Guest.Dirty;
using MigrationD.Guest.Memory;
using MigrationD.Guest.Programs.Pulse;
using MigrationD.Guest.State;
using MigrationD.Guest.Threads;

namespace MigrationD.Guest.Kinds;

/// <summary>
/// The walk of the pulse guest on host threads, through native copies: for hosts without KVM, and for measuring at full speed.
/// </summary>
/// <remarks>
/// <para>Pause takes a thread out of a wait for a missing page: its copy gives up, the thread parks, and when it goes on it takes the same
/// step again from its start. Nothing of a step is kept before its page is written, so a state saved in between is whole.</para>
/// <para>The gap holds everything that this guest's clock sees, as under KVM: the time between two steps of a thread, its pauses and its
/// downtime between hosts included; the latter by the realtime of both hosts.</para>
/// </remarks>
public sealed class WorkloadGuest : IGuest
{
    private const uint SectionVersion = 1;
    private const string WalkersSection = "walkers";

    private readonly VcpuCrew _crew;
    private readonly Walker[] _walkers;
    private WriteProtectLog? _dirtyLog;

    private WorkloadGuest(GuestSpec spec, GuestMemory memory)
    {
        Spec = spec;
        Memory = memory;
        _crew = new VcpuCrew(spec.Name);
        var layout = new PulseLayout(spec);
        _walkers = new Walker[spec.Vcpus];
        for (int number = 0; number < _walkers.Length; number++)
        {
            _walkers[number] = new Walker(layout, memory, spec.Pattern, spec.Content, number, _crew);
        }
    }

    /// <inheritdoc/>
    public GuestSpec Spec { get; }

    /// <inheritdoc/>
    public GuestMemory Memory { get; }

    /// <inheritdoc/>
    public bool IsRunning => _crew.IsRunning;

    /// <inheritdoc/>
    public string? Failure => _crew.Failure;

    /// <inheritdoc/>
    public ConsoleRing? Console => null;

    /// <inheritdoc/>
    public IReadOnlyList<int> VcpuThreads => _crew.ThreadIds;

    /// <summary>A new guest in memory that was all zeros.</summary>
    internal static WorkloadGuest Create(GuestSpec spec, GuestMemory memory)
    {
        PulseImage.WriteWalk(memory, new PulseLayout(spec), spec.Pattern, reportTicks: 0);
        return new WorkloadGuest(spec, memory);
    }

    /// <summary>A guest whose state and memory are to come from another host.</summary>
    internal static WorkloadGuest Incoming(GuestSpec spec, GuestMemory memory, ReadOnlySpan<byte> machineProfile)
    {
        MachineProfile profile = DeviceStateReader.Parse(State.MachineProfile.Parser, machineProfile, "the machine profile");
        if (profile.Vcpus != spec.Vcpus)
        {
            throw new GuestStateException(
                $"the machine profile of guest {spec.Name} has {profile.Vcpus} vCPUs, its specification {spec.Vcpus}");
        }

        return new WorkloadGuest(spec, memory);
    }

    /// <inheritdoc/>
    public void Resume() => _crew.Resume();

    /// <inheritdoc/>
    public void Pause() => _crew.Pause();

    /// <inheritdoc/>
    public byte[] MachineProfile() => new MachineProfile { Vcpus = (uint)Spec.Vcpus }.ToByteArray();

    /// <inheritdoc/>
    public byte[] SaveState()
    {
        using Lock.Scope still = _crew.HoldToSave();
        var walkers = new WalkersState { RealtimeUnixNs = Realtime.NowUnixNanoseconds() };
        foreach (Walker walker in _walkers)
        {
            walkers.Walkers.Add(walker.Save());
        }

        var writer = new DeviceStateWriter();
        writer.Add(WalkersSection, SectionVersion, walkers);
        return writer.ToArray();
    }

    /// <inheritdoc/>
    public void LoadState(ReadOnlySpan<byte> state)
    {
        using Lock.Scope still = _crew.HoldToLoad();
        var reader = new DeviceStateReader(state, new Dictionary<string, uint> { [WalkersSection] = SectionVersion });
        WalkersState walkers = reader.Get(WalkersSection, WalkersState.Parser);
        if (walkers.Walkers.Count != _walkers.Length)
        {
            throw new GuestStateException(
                $"section '{WalkersSection}' is about {walkers.Walkers.Count} vCPUs, the guest has {_walkers.Length}");
        }

        for (int number = 0; number < _walkers.Length; number++)
        {
            _walkers[number].Check(walkers.Walkers[number]);
        }

        long away = Math.Max(0, Realtime.NowUnixNanoseconds() - walkers.RealtimeUnixNs);
        for (int number = 0; number < _walkers.Length; number++)
        {
            _walkers[number].Load(walkers.Walkers[number], away);
        }
    }

    /// <inheritdoc/>
    public IDirtyLog OpenDirtyLog()
    {
        using Lock.Scope alone = _crew.Hold();
        DirtyLog.ThrowIfOpen(_dirtyLog, Spec.Name);
        return _dirtyLog = new WriteProtectLog(Memory);
    }

    /// <inheritdoc/>
    public GuestReport Report() => GuestReport.Over(_walkers.Select(walker => walker.Report()));

    /// <summary>Ends the threads, wherever they are, and the dirty log. The memory stays.</summary>
    public void Dispose() => _crew.End(() => _dirtyLog?.Dispose());
}
