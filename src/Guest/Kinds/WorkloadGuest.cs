using Google.Protobuf;
using MigrationD.Guest.Devices;
using MigrationD.Guest.Dirty;
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
internal sealed class WorkloadGuest : IGuest
{
    private readonly VcpuCrew _crew;
    private readonly DeviceSet _devices;
    private readonly RunControl _control;
    private readonly Walkers _walkers;
    private WriteProtectLog? _dirtyLog;

    private WorkloadGuest(GuestSpec spec, GuestMemory memory)
    {
        Spec = spec;
        Memory = memory;
        _crew = new VcpuCrew(spec.Name);
        _walkers = new Walkers(spec, memory, _crew);
        _devices = new DeviceSet([_walkers]);
        _control = new RunControl(spec.Name, _crew, _devices);
    }

    public GuestSpec Spec { get; }

    public GuestMemory Memory { get; }

    public bool IsRunning => _crew.IsRunning;

    public string? Failure => _crew.Failure;

    public ConsoleRing? Console => null;

    public IReadOnlyList<int> VcpuThreads => _crew.ThreadIds;

    /// <summary>A new guest in memory that was all zeros.</summary>
    public static WorkloadGuest Create(GuestSpec spec, GuestMemory memory)
    {
        PulseImage.WriteWalk(memory, new PulseLayout(spec), spec.Pattern, reportTicks: 0);
        var guest = new WorkloadGuest(spec, memory);
        guest.Claim();
        return guest;
    }

    /// <summary>A guest whose state and memory are to come from another host.</summary>
    public static WorkloadGuest Incoming(GuestSpec spec, GuestMemory memory, ReadOnlySpan<byte> machineProfile)
    {
        MachineProfile profile = DeviceState.Parse(State.MachineProfile.Parser, machineProfile, "the machine profile");
        if (profile.Vcpus != spec.Vcpus)
        {
            throw new GuestStateException(
                $"the machine profile of guest {spec.Name} has {profile.Vcpus} vCPUs, its specification {spec.Vcpus}");
        }

        var guest = new WorkloadGuest(spec, memory);
        try
        {
            guest._devices.RefuseUnlessAlike(spec.Name, profile);
            return guest;
        }
        catch
        {
            guest.Dispose();
            throw;
        }
    }

    public void Resume() => _control.Resume();

    public void Pause() => _control.Pause();

    public void Release() => _control.Release();

    public void Claim() => _control.Claim();

    public byte[] MachineProfile() => _devices.AddTo(new MachineProfile { Vcpus = (uint)Spec.Vcpus }).ToByteArray();

    public byte[] SaveState() => _control.SaveState();

    public void LoadState(ReadOnlySpan<byte> state) => _control.LoadState(state);

    public IDirtyLog OpenDirtyLog()
    {
        using Lock.Scope alone = _crew.Hold();
        DirtyLog.ThrowIfOpen(_dirtyLog, Spec.Name);
        return _dirtyLog = new WriteProtectLog(Memory);
    }

    public GuestReport Report() => _walkers.Report();

    /// <summary>Ends the threads, wherever they are, and the dirty log. The memory stays.</summary>
    public void Dispose() => _crew.End(() => _dirtyLog?.Dispose());
}
