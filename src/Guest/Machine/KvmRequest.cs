namespace MigrationD.Guest.Machine;

/// <summary>
/// ioctl numbers of KVM on x86-64 (linux/kvm.h): direction in bits 30 and 31, size from bit 16, 0xAE from bit 8, number. A test
/// proves them against the system's header.
/// </summary>
internal enum KvmRequest : uint
{
    GetApiVersion = 0xAE00,
    CreateVm = 0xAE01,
    GetMsrIndexList = 0xC004AE02,
    CheckExtension = 0xAE03,
    GetVcpuMmapSize = 0xAE04,
    GetSupportedCpuid = 0xC008AE05,

    CreateVcpu = 0xAE41,
    SetTssAddress = 0xAE47,
    SetUserMemoryRegion = 0x4020AE46,
    GetDirtyLog = 0x4010AE42,
    ClearDirtyLog = 0xC018AEC0,
    EnableCapability = 0x4068AEA3,
    CreateIrqchip = 0xAE60,
    GetIrqchip = 0xC208AE62,
    SetIrqchip = 0x8208AE63,
    CreatePit2 = 0x4040AE77,
    GetPit2 = 0x8070AE9F,
    SetPit2 = 0x4070AEA0,
    SetClock = 0x4030AE7B,
    GetClock = 0x8030AE7C,

    Run = 0xAE80,
    GetRegisters = 0x8090AE81,
    SetRegisters = 0x4090AE82,
    GetMsrs = 0xC008AE88,
    SetMsrs = 0x4008AE89,
    GetLapic = 0x8400AE8E,
    SetLapic = 0x4400AE8F,
    SetCpuid2 = 0x4008AE90,
    GetMpState = 0x8004AE98,
    SetMpState = 0x4004AE99,
    GetVcpuEvents = 0x8040AE9F,
    SetVcpuEvents = 0x4040AEA0,
    GetDebugRegisters = 0x8080AEA1,
    SetDebugRegisters = 0x4080AEA2,
    SetTscKhz = 0xAEA2,
    GetTscKhz = 0xAEA3,
    GetXsave = 0x9000AEA4,
    SetXsave = 0x5000AEA5,
    GetXcrs = 0x8188AEA6,
    SetXcrs = 0x4188AEA7,
    GetSpecialRegisters2 = 0x8140AECC,
    SetSpecialRegisters2 = 0x4140AECD,
    GetXsave2 = 0x9000AECF,
}
