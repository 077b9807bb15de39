using Google.Protobuf;
using MigrationD.Guest.Devices;
using MigrationD.Guest.Devices.Serial;
using MigrationD.Guest.Dirty;
using MigrationD.Guest.Machine;
using MigrationD.Guest.Programs;
using MigrationD.Guest.Programs.Pulse;
using MigrationD.Guest.State;

namespace MigrationD.Guest.Kinds;

/// <summary>
/// A microVM on /dev/kvm, in this process: 1 to 4 vCPUs, a serial port, and the built-in pulse guest. It joins a machine, devices and a
/// program, which do not know each other.
/// </summary>
/// <remarks>
/// The guest's clock is its TSC. Across hosts it is advanced by the realtime that passed between save and load, so the gap that the
/// guest measures holds its downtime; it also holds every time at which an operator kept it paused, because the guest cannot tell.
/// Hosts whose realtime clocks differ add that difference, or, if the destination's is behind, hide as much.
/// </remarks>
internal sealed class KvmGuest : IGuest
{
    private readonly KvmMachine _machine;
    private readonly IProgram _program;
    private readonly DeviceSet _devices;
    private readonly RunControl _control;

    private KvmGuest(KvmDevice device, GuestSpec spec, GuestMemory memory, MachineProfile? profile)
    {
        Spec = spec;
        Memory = memory;
        Console = new ConsoleRing(SerialPort.ConsoleCapacity);
        var program = new PulseProgram(spec, memory, Console);
        var serial = new SerialPort(Console, program.Line);
        var ports = new Bus([new BusRange(AddressMap.SerialPort, SerialPort.Ports, serial), .. program.Ports]);
        _program = program;
        _machine = new KvmMachine(
            device, spec.Name, memory, spec.Vcpus, profile, new MachineParts(ports, new Bus([]), program.CorrectClock));
        _devices = new DeviceSet([.. _machine.Devices, serial, .. program.Devices]);
        _control = new RunControl(spec.Name, _machine.Crew, _devices);
    }

    public GuestSpec Spec { get; }

    public GuestMemory Memory { get; }

    public bool IsRunning => _machine.Crew.IsRunning;

    public string? Failure => _machine.Crew.Failure;

    public IReadOnlyList<int> VcpuThreads => _machine.Crew.ThreadIds;

    /// <summary>The last 64 KiB that the guest wrote on its serial port, on whatever hosts it ran: whole lines of its vCPUs.</summary>
    public ConsoleRing Console { get; }

    /// <summary>A new guest: its program is in <paramref name="memory"/>, which was all zeros, and its vCPUs stand before it.</summary>
    public static KvmGuest Create(GuestSpec spec, GuestMemory memory)
    {
        using KvmDevice device = KvmProbe.OpenUsable();
        var guest = new KvmGuest(device, spec, memory, null);
        try
        {
            guest._machine.Start(guest._program.Load(guest._machine.Profile.TscKhz));
            guest.Claim();
            return guest;
        }
        catch
        {
            guest.Dispose();
            throw;
        }
    }

    /// <summary>A guest whose state and memory are to come from another host.</summary>
    /// <exception cref="GuestStateException">This host cannot run it.</exception>
    public static KvmGuest Incoming(GuestSpec spec, GuestMemory memory, ReadOnlySpan<byte> machineProfile)
    {
        MachineProfile profile = DeviceState.Parse(State.MachineProfile.Parser, machineProfile, "the machine profile");
        using KvmDevice device = KvmMachine.OpenForIncoming();
        KvmMachine.RefuseUnlessRunnable(device, spec.Name, spec.Vcpus, profile);
        var guest = new KvmGuest(device, spec, memory, profile);
        try
        {
            guest._devices.RefuseUnlessAlike(spec.Name, profile);
            guest._machine.MatchTscFrequency(device);
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

    public byte[] MachineProfile() => _devices.AddTo(_machine.Profile).ToByteArray();

    public byte[] SaveState() => _control.SaveState();

    public void LoadState(ReadOnlySpan<byte> state)
    {
        try
        {
            _control.LoadState(state, () => _machine.WaitForMemory(_program.TouchedByHypervisors));
        }
        catch (SystemCallException error)
        {
            throw new GuestStateException($"this host's KVM refuses the state of guest {Spec.Name}: {error.Message}", error);
        }
    }

    public IDirtyLog OpenDirtyLog() => _machine.OpenDirtyLog();

    public GuestReport Report() => _program.Report(_machine.Profile.TscKhz);

    /// <summary>
    /// Ends the vCPUs, wherever they are, then the machine. The memory stays. A <see cref="LoadState"/> that waits for memory on another
    /// thread is given up with an <see cref="ObjectDisposedException"/>.
    /// </summary>
    public void Dispose() => _machine.Dispose();
}
