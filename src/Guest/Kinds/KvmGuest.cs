using MigrationD.Guest.Devices;
using MigrationD.Guest.Devices.Serial;
using MigrationD.Guest.Dirty;
using MigrationD.Guest.Interop;
using MigrationD.Guest.Machine;
using MigrationD.Guest.Memory;
using MigrationD.Guest.Programs.Pulse;
using MigrationD.Guest.State;
using MigrationD.Guest.Threads;

namespace MigrationD.Guest.Kinds;

/// <summary>A microVM on /dev/kvm, in this process: 1 to 4 vCPUs, a serial port, and the built-in pulse guest.</summary>
/// <remarks>
/// The guest's clock is its TSC. Across hosts it is advanced by the realtime that passed between save and load, so the gap that the
/// guest measures holds its downtime; it also holds every time at which an operator kept it paused, because the guest cannot tell.
/// Hosts whose realtime clocks differ add that difference, or, if the destination's is behind, hide as much.
/// </remarks>
public sealed partial class KvmGuest : IGuest
{
    // It travels while the guest stands still: half a millisecond on a network of 1 Gbit/s.
    private const int ConsoleCapacity = 64 * 1024;

    // A report every 50 ms: often enough to watch, and its 70 exits are less than a percent of a vCPU's time on a fast host.
    private const int ReportMilliseconds = 50;

    private readonly VcpuCrew _crew;
    private readonly KvmVirtualMachine _machine;
    private readonly MachineProfile _profile;
    private readonly Vcpu[] _vcpus;
    private readonly uint[] _msrIndexes;
    private readonly int _xsaveSize;
    private readonly SerialPort _serial = new();
    private readonly ConsoleRing _console = new(ConsoleCapacity);
    private KvmDirtyLog? _dirtyLog;

    private KvmGuest(KvmDevice device, GuestSpec spec, GuestMemory memory, MachineProfile? profile)
    {
        Spec = spec;
        Memory = memory;
        Layout = new PulseLayout(spec);
        _crew = new VcpuCrew(spec.Name);
        _vcpus = new Vcpu[spec.Vcpus];
        _machine = KvmVirtualMachine.Create(device, memory);
        try
        {
            _msrIndexes = device.GetMsrIndexes();
            _xsaveSize = device.Check(KvmCapability.Xsave2);
            IReadOnlyList<CpuidEntry> cpuid = profile?.Cpuid ?? (IReadOnlyList<CpuidEntry>)CpuModel.ForNewGuest(device.GetSupportedCpuid());
            for (int number = 0; number < _vcpus.Length; number++)
            {
                _vcpus[number] = new Vcpu(this, number, new KvmVcpu(_machine.CreateVcpu(number), device.GetVcpuMmapSize()));
                _vcpus[number].Kernel.SetCpuid(CpuModel.ForVcpu(cpuid, number, spec.Vcpus));
            }

            _profile = profile ?? new MachineProfile
            {
                Vcpus = (uint)spec.Vcpus,
                TscKhz = _vcpus[0].Kernel.GetTscKhz(),
                Xcr0 = ReadXcr0(_vcpus[0].Kernel),
                Cpuid = { cpuid },
            };
        }
        catch
        {
            Dispose();
            throw;
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
    public IReadOnlyList<int> VcpuThreads => _crew.ThreadIds;

    /// <summary>The last 64 KiB that the guest wrote on its serial port, on whatever hosts it ran: whole lines of its vCPUs.</summary>
    public ConsoleRing Console => _console;

    internal PulseLayout Layout { get; }

    /// <summary>A new guest: its program is in <paramref name="memory"/>, which was all zeros, and its vCPUs stand before it.</summary>
    internal static KvmGuest Create(GuestSpec spec, GuestMemory memory)
    {
        using KvmDevice device = KvmDevice.Open();
        KvmProbe.ThrowIfUnusable(device);
        var guest = new KvmGuest(device, spec, memory, null);
        try
        {
            PulseImage.WriteWalk(memory, guest.Layout, spec.Pattern, (ulong)guest._profile.TscKhz * ReportMilliseconds);
            ulong entry = PulseImage.WriteMachine(memory, guest.Layout, spec.Pattern, spec.Content);
            foreach (Vcpu vcpu in guest._vcpus)
            {
                guest.SetFirstInstruction(vcpu, entry);
            }

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
    internal static KvmGuest Incoming(GuestSpec spec, GuestMemory memory, ReadOnlySpan<byte> machineProfile)
    {
        MachineProfile profile = DeviceStateReader.Parse(State.MachineProfile.Parser, machineProfile, "the machine profile");
        using KvmDevice device = OpenForIncoming();
        List<string> lacks = CpuModel.FindUnsupported(profile, device.GetSupportedCpuid());
        if (profile.Vcpus != spec.Vcpus)
        {
            lacks.Add($"a specification of {profile.Vcpus} vCPUs (it says {spec.Vcpus})");
        }

        if (profile.TscKhz == 0)
        {
            lacks.Add("the frequency of its time stamp counter (the profile has none)");
        }

        if (lacks.Count > 0)
        {
            throw new GuestStateException($"this host cannot run guest {spec.Name}: it lacks {string.Join(", ", lacks)}");
        }

        var guest = new KvmGuest(device, spec, memory, profile);
        try
        {
            guest.MatchTscFrequency(device);
            return guest;
        }
        catch
        {
            guest.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Resume() => _crew.Resume();

    /// <inheritdoc/>
    public void Pause() => _crew.Pause();

    /// <inheritdoc/>
    public IDirtyLog OpenDirtyLog()
    {
        using Lock.Scope alone = _crew.Hold();
        DirtyLog.ThrowIfOpen(_dirtyLog, Spec.Name);
        return _dirtyLog = new KvmDirtyLog(_machine, Memory);
    }

    /// <inheritdoc/>
    public GuestReport Report() => GuestReport.Over(_vcpus.Select(vcpu => ToReport(vcpu.LastReport)));

    /// <summary>
    /// Ends the vCPUs, wherever they are, then the machine. The memory stays. A <see cref="LoadState"/> that waits for memory on another
    /// thread is given up with an <see cref="ObjectDisposedException"/>.
    /// </summary>
    public void Dispose() => _crew.End(() =>
    {
        foreach (Vcpu? vcpu in _vcpus)
        {
            vcpu?.Kernel.Dispose();
        }

        // The log after the machine: what it would switch off has ended with it.
        _machine.Dispose();
        _dirtyLog?.Dispose();
    });

    private GuestReport ToReport(PulseReportLine last)
    {
        // Ticks divided by kHz are milliseconds.
        double milliseconds = Math.Min((double)last.GapTicks / _profile.TscKhz, TimeSpan.MaxValue.TotalMilliseconds / 2);
        return new GuestReport(last.StepCount, last.SweepCount, last.CorruptCount, TimeSpan.FromMilliseconds(milliseconds));
    }

    private static KvmDevice OpenForIncoming()
    {
        try
        {
            KvmDevice device = KvmDevice.Open();
            try
            {
                KvmProbe.ThrowIfUnusable(device);
                return device;
            }
            catch
            {
                device.Dispose();
                throw;
            }
        }
        catch (SystemCallException error)
        {
            throw new GuestStateException($"this host cannot run KVM guests: {error.Message}", error);
        }
        catch (NotSupportedException error)
        {
            throw new GuestStateException($"this host cannot run KVM guests: {error.Message}", error);
        }
    }

    private void MatchTscFrequency(KvmDevice device)
    {
        uint wanted = _profile.TscKhz;

        // Asked first, because KVM accepts a higher frequency without it, and then imitates it by pushing the counter on at every exit.
        bool canScale = device.Check(KvmCapability.TscControl) > 0;
        foreach (Vcpu vcpu in _vcpus)
        {
            uint has = vcpu.Kernel.GetTscKhz();

            // Two measurements of one crystal differ by some parts per million; KVM itself tolerates 250.
            if (Math.Abs((long)wanted - has) * 4000 > wanted && !(canScale && vcpu.Kernel.TrySetTscKhz(wanted)))
            {
                throw new GuestStateException(
                    $"this host cannot run guest {Spec.Name}: its time stamp counter ticks at {wanted} kHz, this host's at {has} kHz, " +
                    "and its processor cannot scale it");
            }
        }
    }
}
