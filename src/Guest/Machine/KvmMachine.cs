using MigrationD.Guest.Devices;
using MigrationD.Guest.Dirty;
using MigrationD.Guest.State;
using MigrationD.Guest.Threads;

namespace MigrationD.Guest.Machine;

/// <summary>
/// A microVM on /dev/kvm, in this process: RAM, interrupt controllers and a timer in the kernel, and vCPUs with their threads. It knows
/// buses and sections, but no device by name, and no program.
/// </summary>
internal sealed class KvmMachine : IDisposable
{
    private readonly string _guest;
    private readonly GuestMemory _memory;
    private readonly KvmVirtualMachine _vm;
    private readonly List<KvmVcpu> _kernels = [];
    private readonly List<VcpuRegisters> _registers = [];
    private KvmDirtyLog? _dirtyLog;

    /// <summary>
    /// Makes a machine whose vCPUs stand still, in the state that the kernel gives to new ones. <paramref name="profile"/> is what the
    /// guest has seen of a machine; null for a new guest.
    /// </summary>
    public KvmMachine(KvmDevice device, string guest, GuestMemory memory, int vcpus, MachineProfile? profile, MachineParts parts)
    {
        _guest = guest;
        _memory = memory;
        Crew = new VcpuCrew(guest);
        _vm = KvmVirtualMachine.Create(device, memory);
        try
        {
            int mmapSize = device.GetVcpuMmapSize();
            IReadOnlyList<CpuidEntry> cpuid = profile?.Cpuid ?? (IReadOnlyList<CpuidEntry>)CpuModel.ForNewGuest(device.GetSupportedCpuid());
            for (int number = 0; number < vcpus; number++)
            {
                var kernel = new KvmVcpu(_vm.CreateVcpu(number), mmapSize);
                _kernels.Add(kernel);
                _ = new Vcpu(kernel, number, Crew, parts.Ports, parts.Mmio);
                kernel.SetCpuid(CpuModel.ForVcpu(cpuid, number, vcpus));
            }

            Profile = profile ?? new MachineProfile
            {
                Vcpus = (uint)vcpus,
                TscKhz = _kernels[0].GetTscKhz(),
                Xcr0 = VcpuRegisters.ReadXcr0(_kernels[0]),
                Cpuid = { cpuid },
            };
            var clock = new MachineClock(_vm, Profile.TscKhz, parts.CorrectClock);
            uint[] msrs = device.GetMsrIndexes();
            int xsaveSize = device.Check(KvmCapability.Xsave2);
            _registers.AddRange(_kernels.Select((kernel, number) => new VcpuRegisters(kernel, number, clock, msrs, xsaveSize)));

            // kvmclock and the time stamp counters, which go on, next to each other. Loaded in this order: chips, clock, vCPUs.
            Devices = [new KernelIrqchip(_vm), new KernelPit(_vm), clock, .. _registers];
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public VcpuCrew Crew { get; }

    /// <summary>What a host must be able to do to run its guest; without the devices.</summary>
    public MachineProfile Profile { get; }

    /// <summary>What of it has state, in the order in which it is saved and loaded.</summary>
    public IReadOnlyList<IDevice> Devices { get; }

    /// <exception cref="GuestStateException">/dev/kvm cannot be opened, or lacks something.</exception>
    public static KvmDevice OpenForIncoming()
    {
        try
        {
            return KvmProbe.OpenUsable();
        }
        catch (Exception error) when (error is SystemCallException or NotSupportedException)
        {
            throw new GuestStateException($"this host cannot run KVM guests: {error.Message}", error);
        }
    }

    /// <summary>Refuses a guest whose profile asks for what this host has not.</summary>
    /// <exception cref="GuestStateException">The host lacks something; the message names all of it.</exception>
    public static void RefuseUnlessRunnable(KvmDevice device, string guest, int vcpus, MachineProfile profile)
    {
        List<string> lacks = CpuModel.FindUnsupported(profile, device.GetSupportedCpuid());
        if (profile.Vcpus != vcpus)
        {
            lacks.Add($"a specification of {profile.Vcpus} vCPUs (it says {vcpus})");
        }

        if (profile.TscKhz == 0)
        {
            lacks.Add("the frequency of its time stamp counter (the profile has none)");
        }

        if (lacks.Count > 0)
        {
            throw new GuestStateException($"this host cannot run guest {guest}: it lacks {string.Join(", ", lacks)}");
        }
    }

    /// <summary>Gives the vCPUs of a guest that is to come the counter that it knows.</summary>
    /// <exception cref="GuestStateException">This host cannot give it to them.</exception>
    public void MatchTscFrequency(KvmDevice device)
    {
        uint wanted = Profile.TscKhz;

        // Asked first, because KVM accepts a higher frequency without it, and then imitates it by pushing the counter on at every exit.
        bool canScale = device.Check(KvmCapability.TscControl) > 0;
        foreach (KvmVcpu vcpu in _kernels)
        {
            uint has = vcpu.GetTscKhz();

            // Two measurements of one crystal differ by some parts per million; KVM itself tolerates 250.
            if (Math.Abs((long)wanted - has) * 4000 > wanted && !(canScale && vcpu.TrySetTscKhz(wanted)))
            {
                throw new GuestStateException(
                    $"this host cannot run guest {_guest}: its time stamp counter ticks at {wanted} kHz, this host's at {has} kHz, " +
                    "and its processor cannot scale it");
            }
        }
    }

    /// <summary>Puts the vCPUs of a new guest before their first instructions.</summary>
    public void Start(IReadOnlyList<FirstInstruction> at)
    {
        foreach ((VcpuRegisters vcpu, FirstInstruction first) in _registers.Zip(at))
        {
            vcpu.Start(first);
        }
    }

    /// <summary>Waits until everything is here that a hypervisor itself reads or writes. The crew is held.</summary>
    /// <remarks>
    /// KVM touches it in kernel mode where it walks the guest's page tables in software or delivers its exceptions (PVM, or
    /// hardware without nested paging), and there a wait for a missing page ends for no signal but a fatal one (fault_signal_pending
    /// in linux/sched/signal.h): a vCPU in it cannot be paused. All other pages are touched by the guest, and those waits can be
    /// interrupted.
    /// </remarks>
    /// <exception cref="ObjectDisposedException">The guest is being ended.</exception>
    public void WaitForMemory(RamPiece touched)
    {
        long offset = touched.Offset;
        Crew.WaitForMemory(() =>
        {
            for (; offset < touched.Offset + touched.Length; offset += GuestPage.Size)
            {
                if (!TryTouch(offset))
                {
                    return false;
                }
            }

            return true;
        });
    }

    public IDirtyLog OpenDirtyLog()
    {
        using Lock.Scope alone = Crew.Hold();
        DirtyLog.ThrowIfOpen(_dirtyLog, _guest);
        return _dirtyLog = new KvmDirtyLog(_vm, _memory);
    }

    /// <summary>Ends the vCPUs, wherever they are, then the machine. The memory stays.</summary>
    public void Dispose() => Crew.End(() =>
    {
        _kernels.ForEach(kernel => kernel.Dispose());

        // The log after the machine: what it would switch off has ended with it.
        _vm.Dispose();
        _dirtyLog?.Dispose();
    });

    private bool TryTouch(long offset)
    {
        Span<byte> word = stackalloc byte[sizeof(ulong)];
        return _memory.TryRead(offset, word);
    }
}

/// <summary>
/// What a machine is told, as it does not know it: what answers at I/O ports and at physical addresses without RAM, and what the program
/// does about a time stamp counter that cannot be offset.
/// </summary>
internal sealed record MachineParts(Bus Ports, Bus Mmio, ClockCorrection CorrectClock);
