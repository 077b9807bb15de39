using System.Runtime.InteropServices;
using MigrationD.Guest.Machine;
using MigrationD.Guest.Platform;
using MigrationD.Guest.Tests.Interop;

namespace MigrationD.Guest.Tests.Machine;

/// <summary>The C compiler says whether structures and ioctl numbers are those of the system's linux/kvm.h.</summary>
public sealed unsafe class KvmAbiTests
{
    private static readonly Dictionary<KvmRequest, string> Requests = new()
    {
        [KvmRequest.GetApiVersion] = "KVM_GET_API_VERSION",
        [KvmRequest.CreateVm] = "KVM_CREATE_VM",
        [KvmRequest.GetMsrIndexList] = "KVM_GET_MSR_INDEX_LIST",
        [KvmRequest.CheckExtension] = "KVM_CHECK_EXTENSION",
        [KvmRequest.GetVcpuMmapSize] = "KVM_GET_VCPU_MMAP_SIZE",
        [KvmRequest.GetSupportedCpuid] = "KVM_GET_SUPPORTED_CPUID",
        [KvmRequest.CreateVcpu] = "KVM_CREATE_VCPU",
        [KvmRequest.SetTssAddress] = "KVM_SET_TSS_ADDR",
        [KvmRequest.SetUserMemoryRegion] = "KVM_SET_USER_MEMORY_REGION",
        [KvmRequest.GetDirtyLog] = "KVM_GET_DIRTY_LOG",
        [KvmRequest.ClearDirtyLog] = "KVM_CLEAR_DIRTY_LOG",
        [KvmRequest.EnableCapability] = "KVM_ENABLE_CAP",
        [KvmRequest.CreateIrqchip] = "KVM_CREATE_IRQCHIP",
        [KvmRequest.GetIrqchip] = "KVM_GET_IRQCHIP",
        [KvmRequest.SetIrqchip] = "KVM_SET_IRQCHIP",
        [KvmRequest.CreatePit2] = "KVM_CREATE_PIT2",
        [KvmRequest.GetPit2] = "KVM_GET_PIT2",
        [KvmRequest.SetPit2] = "KVM_SET_PIT2",
        [KvmRequest.SetClock] = "KVM_SET_CLOCK",
        [KvmRequest.GetClock] = "KVM_GET_CLOCK",
        [KvmRequest.Run] = "KVM_RUN",
        [KvmRequest.GetRegisters] = "KVM_GET_REGS",
        [KvmRequest.SetRegisters] = "KVM_SET_REGS",
        [KvmRequest.GetMsrs] = "KVM_GET_MSRS",
        [KvmRequest.SetMsrs] = "KVM_SET_MSRS",
        [KvmRequest.GetLapic] = "KVM_GET_LAPIC",
        [KvmRequest.SetLapic] = "KVM_SET_LAPIC",
        [KvmRequest.SetCpuid2] = "KVM_SET_CPUID2",
        [KvmRequest.GetMpState] = "KVM_GET_MP_STATE",
        [KvmRequest.SetMpState] = "KVM_SET_MP_STATE",
        [KvmRequest.GetVcpuEvents] = "KVM_GET_VCPU_EVENTS",
        [KvmRequest.SetVcpuEvents] = "KVM_SET_VCPU_EVENTS",
        [KvmRequest.GetDebugRegisters] = "KVM_GET_DEBUGREGS",
        [KvmRequest.SetDebugRegisters] = "KVM_SET_DEBUGREGS",
        [KvmRequest.SetTscKhz] = "KVM_SET_TSC_KHZ",
        [KvmRequest.GetTscKhz] = "KVM_GET_TSC_KHZ",
        [KvmRequest.GetXsave] = "KVM_GET_XSAVE",
        [KvmRequest.SetXsave] = "KVM_SET_XSAVE",
        [KvmRequest.GetXcrs] = "KVM_GET_XCRS",
        [KvmRequest.SetXcrs] = "KVM_SET_XCRS",
        [KvmRequest.GetSpecialRegisters2] = "KVM_GET_SREGS2",
        [KvmRequest.SetSpecialRegisters2] = "KVM_SET_SREGS2",
        [KvmRequest.GetXsave2] = "KVM_GET_XSAVE2",
    };

    private static readonly Dictionary<KvmCapability, string> Capabilities = new()
    {
        [KvmCapability.Irqchip] = "KVM_CAP_IRQCHIP",
        [KvmCapability.UserMemory] = "KVM_CAP_USER_MEMORY",
        [KvmCapability.SetTssAddress] = "KVM_CAP_SET_TSS_ADDR",
        [KvmCapability.ExtendedCpuid] = "KVM_CAP_EXT_CPUID",
        [KvmCapability.MpState] = "KVM_CAP_MP_STATE",
        [KvmCapability.Pit2] = "KVM_CAP_PIT2",
        [KvmCapability.PitState2] = "KVM_CAP_PIT_STATE2",
        [KvmCapability.AdjustClock] = "KVM_CAP_ADJUST_CLOCK",
        [KvmCapability.VcpuEvents] = "KVM_CAP_VCPU_EVENTS",
        [KvmCapability.DebugRegisters] = "KVM_CAP_DEBUGREGS",
        [KvmCapability.Xsave] = "KVM_CAP_XSAVE",
        [KvmCapability.Xcrs] = "KVM_CAP_XCRS",
        [KvmCapability.TscControl] = "KVM_CAP_TSC_CONTROL",
        [KvmCapability.GetTscKhz] = "KVM_CAP_GET_TSC_KHZ",
        [KvmCapability.ImmediateExit] = "KVM_CAP_IMMEDIATE_EXIT",
        [KvmCapability.ManualDirtyLogProtect2] = "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2",
        [KvmCapability.SpecialRegisters2] = "KVM_CAP_SREGS2",
        [KvmCapability.Xsave2] = "KVM_CAP_XSAVE2",
    };

    private readonly CAssertions _assertions = new(
        """
        #include <stddef.h>
        #include <signal.h>
        #include <ucontext.h>
        #include <linux/kvm.h>

        """,
        "-D_GNU_SOURCE");

    [MachineFact(Needs.CCompiler)]
    public void Structures_and_numbers_are_the_kernels()
    {
        Assert.Equal(Enum.GetValues<KvmRequest>().Order(), Requests.Keys.Order());
        foreach ((KvmRequest request, string name) in Requests)
        {
            _assertions.That($"{name} == {(uint)request}u", name);
        }

        Assert.Equal(Enum.GetValues<KvmCapability>().Order(), Capabilities.Keys.Order());
        foreach ((KvmCapability capability, string name) in Capabilities)
        {
            _assertions.That($"{name} == {(int)capability}", name);
        }

        // Our names of registers are the kernel's in another case.
        _assertions.Structure<GeneralRegisters>(
            "struct kvm_regs", [.. typeof(GeneralRegisters).GetFields().Select(field => (field.Name.ToLowerInvariant(), field.Name))]);
        _assertions.Structure<Segment>(
            "struct kvm_segment", [.. typeof(Segment).GetFields().Select(field => (field.Name.ToLowerInvariant(), field.Name))]);
        _assertions.Structure<DescriptorTable>("struct kvm_dtable", ("base", "Base"), ("limit", "Limit"));
        _assertions.Structure<KvmSpecialRegisters2>(
            "struct kvm_sregs2",
            ("cs", "Cs"), ("ds", "Ds"), ("es", "Es"), ("fs", "Fs"), ("gs", "Gs"), ("ss", "Ss"), ("tr", "Tr"), ("ldt", "Ldt"),
            ("gdt", "Gdt"), ("idt", "Idt"), ("cr0", "Cr0"), ("cr2", "Cr2"), ("cr3", "Cr3"), ("cr4", "Cr4"), ("cr8", "Cr8"),
            ("efer", "Efer"), ("apic_base", "ApicBase"), ("flags", "Flags"), ("pdptrs[0]", "Pdptr0"));
        _assertions.Structure<KvmMemoryRegion>(
            "struct kvm_userspace_memory_region",
            ("slot", "Slot"), ("flags", "Flags"), ("guest_phys_addr", "GuestPhysicalAddress"), ("memory_size", "MemorySize"),
            ("userspace_addr", "UserspaceAddress"));
        _assertions.Structure<KvmDirtyLogArgument>("struct kvm_dirty_log", ("slot", "Slot"), ("dirty_bitmap", "Bitmap"));
        _assertions.Structure<KvmClearDirtyLogArgument>(
            "struct kvm_clear_dirty_log",
            ("slot", "Slot"), ("num_pages", "PageCount"), ("first_page", "FirstPage"), ("dirty_bitmap", "Bitmap"));
        _assertions.Structure<KvmEnableCapability>(
            "struct kvm_enable_cap", ("cap", "Capability"), ("flags", "Flags"), ("args[0]", "Argument0"));
        _assertions.That($"KVM_MEM_LOG_DIRTY_PAGES == {KvmMemoryRegion.LogDirtyPages}", "KVM_MEM_LOG_DIRTY_PAGES");
        _assertions.That(
            $"KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE == {KvmEnableCapability.DirtyLogManualProtect}", "KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE");
        _assertions.That($"KVM_DIRTY_LOG_INITIALLY_SET == {KvmEnableCapability.DirtyLogInitiallySet}", "KVM_DIRTY_LOG_INITIALLY_SET");
        _assertions.Structure<KvmClockData>(
            "struct kvm_clock_data", ("clock", "Clock"), ("flags", "Flags"), ("realtime", "Realtime"), ("host_tsc", "HostTsc"));
        _assertions.Structure<KvmMsrEntry>("struct kvm_msr_entry", ("index", "Index"), ("data", "Data"));
        _assertions.That("offsetof(struct kvm_msrs, entries) == 8", "kvm_msrs.entries");
        _assertions.Structure<KvmCpuidEntry>(
            "struct kvm_cpuid_entry2",
            ("function", "Function"), ("index", "Index"), ("flags", "Flags"), ("eax", "Eax"), ("ebx", "Ebx"), ("ecx", "Ecx"),
            ("edx", "Edx"));
        _assertions.That("offsetof(struct kvm_cpuid2, entries) == 8", "kvm_cpuid2.entries");
        _assertions.That("offsetof(struct kvm_msr_list, indices) == 4", "kvm_msr_list.indices");
        _assertions.That($"sizeof(struct kvm_pit_config) == {sizeof(KvmPitConfig)}", "size of kvm_pit_config");
        _assertions.That("offsetof(struct kvm_xcrs, xcrs[0].value) == 16", "kvm_xcrs.xcrs[0].value");
        foreach ((string c, string ours) in new[]
        {
            ("immediate_exit", "ImmediateExit"), ("exit_reason", "ExitReason"), ("io.direction", "IoDirection"), ("io.size", "IoSize"),
            ("io.port", "IoPort"), ("io.count", "IoCount"), ("io.data_offset", "IoDataOffset"),
            ("mmio.phys_addr", "MmioPhysicalAddress"), ("mmio.data", "MmioData"), ("mmio.len", "MmioLength"),
            ("mmio.is_write", "MmioIsWrite"), ("internal.suberror", "InternalSuberror"),
            ("fail_entry.hardware_entry_failure_reason", "HardwareReason"),
        })
        {
            _assertions.That($"offsetof(struct kvm_run, {c}) == {Marshal.OffsetOf<KvmRun>(ours)}", $"kvm_run.{c}");
        }

        foreach ((KvmExit exit, string name) in new[]
        {
            (KvmExit.Io, "KVM_EXIT_IO"), (KvmExit.Hypercall, "KVM_EXIT_HYPERCALL"), (KvmExit.Debug, "KVM_EXIT_DEBUG"),
            (KvmExit.Hlt, "KVM_EXIT_HLT"),
            (KvmExit.Mmio, "KVM_EXIT_MMIO"), (KvmExit.IrqWindowOpen, "KVM_EXIT_IRQ_WINDOW_OPEN"), (KvmExit.Shutdown, "KVM_EXIT_SHUTDOWN"),
            (KvmExit.FailEntry, "KVM_EXIT_FAIL_ENTRY"), (KvmExit.Intr, "KVM_EXIT_INTR"), (KvmExit.InternalError, "KVM_EXIT_INTERNAL_ERROR"),
            (KvmExit.SystemEvent, "KVM_EXIT_SYSTEM_EVENT"),
        })
        {
            _assertions.That($"{name} == {(uint)exit}", name);
        }

        // What the signal handler stands on.
        _assertions.Structure<Libc.SignalAction>(
            "struct sigaction", ("sa_sigaction", "Handler"), ("sa_mask", "Mask"), ("sa_flags", "Flags"), ("sa_restorer", "Restorer"));
        _assertions.That($"SA_SIGINFO == {Libc.SaSiginfo} && SA_RESTART == {Libc.SaRestart}", "SA_*");
        _assertions.That("offsetof(ucontext_t, uc_mcontext.gregs[REG_RIP]) == 168", "RIP in ucontext_t");
        Assert.Equal("", _assertions.Errors());
    }

    [MachineFact(Needs.CCompiler)]
    public void A_wrong_assertion_would_be_noticed()
    {
        _assertions.That("sizeof(struct kvm_regs) == 145", "the canary");
        Assert.Contains("the canary", _assertions.Errors(), StringComparison.Ordinal);
    }
}
