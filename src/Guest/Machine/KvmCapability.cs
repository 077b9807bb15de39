namespace MigrationD.Guest.Machine;

/// <summary>KVM_CAP_* that guests need or use (linux/kvm.h).</summary>
internal enum KvmCapability
{
    Irqchip = 0,
    UserMemory = 3,
    SetTssAddress = 4,
    ExtendedCpuid = 7,
    MpState = 14,
    Pit2 = 33,
    PitState2 = 35,
    AdjustClock = 39,
    VcpuEvents = 41,
    DebugRegisters = 50,
    Xsave = 55,
    Xcrs = 56,
    TscControl = 60,
    GetTscKhz = 61,
    ImmediateExit = 136,
    ManualDirtyLogProtect2 = 168,
    SpecialRegisters2 = 200,
    Xsave2 = 208,
}
