using System.Numerics;
using MigrationD.Guest.State;

namespace MigrationD.Guest.Machine;

/// <summary>
/// The processor that guests are shown: what every x86-64-v2 machine of either vendor has, as far as this host supports it. The fewer
/// features a guest has seen, the more hosts it can move to.
/// </summary>
internal static class CpuModel
{
    private const uint HighestBasicLeaf = 1;
    private const uint HighestExtendedLeaf = 0x80000008;

    // SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, x2APIC, POPCNT, TSC deadline, "runs under a hypervisor".
    private const uint Leaf1Ecx = 1u << 0 | 1u << 9 | 1u << 13 | 1u << 19 | 1u << 20 | 1u << 21 | 1u << 23 | 1u << 24 | 1u << 31;

    // FPU to PSE-36, CLFLUSH, MMX, FXSR, SSE, SSE2, HTT.
    private const uint Leaf1Edx = 0x178BFBFF;
    private const uint LeafExtended1Ecx = 1u << 0;
    private const uint LeafExtended1Edx = 1u << 11 | 1u << 20 | 1u << 29;
    private const uint InvariantTsc = 1u << 8;
    private const uint MaxPhysicalBits = 40;

    // kvmclock with the new MSRs, and the promise that it is the same on all vCPUs.
    private const uint KvmFeatures = 1u << 3 | 1u << 24;

    /// <summary>KVM_CPUID_FLAG_SIGNIFCANT_INDEX (sic).</summary>
    private const uint IndexMatters = 1;

    private const int MaxEntries = 256;

    private static readonly Dictionary<(uint Function, uint Index, char Register), string[]> FeatureNames = new()
    {
        [(1, 0, 'c')] =
        [
            "sse3", "pclmulqdq", "dtes64", "monitor", "ds-cpl", "vmx", "smx", "est", "tm2", "ssse3", "cid", "sdbg", "fma", "cx16",
            "xtpr", "pdcm", "", "pcid", "dca", "sse4.1", "sse4.2", "x2apic", "movbe", "popcnt", "tsc-deadline",
            "aes", "xsave", "osxsave", "avx", "f16c", "rdrand", "hypervisor",
        ],
        [(1, 0, 'd')] =
        [
            "fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", "", "sep", "mtrr", "pge", "mca", "cmov", "pat", "pse36",
            "psn", "clflush", "", "ds", "acpi", "mmx", "fxsr", "sse", "sse2", "ss", "ht", "tm", "ia64", "pbe",
        ],
        [(7, 0, 'b')] =
        [
            "fsgsbase", "tsc-adjust", "sgx", "bmi1", "hle", "avx2", "", "smep", "bmi2", "erms", "invpcid", "rtm", "", "", "mpx", "",
            "avx512f", "avx512dq", "rdseed", "adx", "smap", "avx512-ifma", "", "clflushopt", "clwb", "", "avx512pf", "avx512er",
            "avx512cd", "sha-ni", "avx512bw", "avx512vl",
        ],
        [(0x80000001, 0, 'c')] = ["lahf-lm", "cmp-legacy", "svm", "extapic", "cr8-legacy", "abm", "sse4a", "misalignsse", "3dnowprefetch"],
        [(0x80000001, 0, 'd')] =
        [
            "", "", "", "", "", "", "", "", "", "", "", "syscall", "", "", "", "", "", "", "", "", "nx", "", "mmxext", "", "", "fxsr-opt",
            "pdpe1gb", "rdtscp", "", "lm", "3dnowext", "3dnow",
        ],
        [(0x80000007, 0, 'd')] = ["", "", "", "", "", "", "", "", "invtsc"],
        [(0x40000001, 0, 'a')] = ["kvmclock", "kvm-nopiodelay", "kvm-mmu", "kvmclock2", "kvm-asyncpf"],
    };

    /// <summary>What a new guest is shown on this host, of what KVM_GET_SUPPORTED_CPUID says.</summary>
    public static List<CpuidEntry> ForNewGuest(ReadOnlySpan<KvmCpuidEntry> supported)
    {
        var shown = new List<CpuidEntry>();
        foreach (KvmCpuidEntry entry in supported)
        {
            KvmCpuidEntry? reduced = entry.Function switch
            {
                0 => entry with { Eax = HighestBasicLeaf },

                // APIC id and number of processors are each vCPU's own.
                1 => entry with { Ebx = entry.Ebx & 0x0000FF00, Ecx = entry.Ecx & Leaf1Ecx, Edx = entry.Edx & Leaf1Edx },
                0x40000000 => entry with { Eax = 0x40000001 },
                0x40000001 => entry with { Eax = entry.Eax & KvmFeatures, Ebx = 0, Ecx = 0, Edx = 0 },
                0x80000000 => entry with { Eax = Math.Min(entry.Eax, HighestExtendedLeaf) },
                0x80000001 => entry with { Ecx = entry.Ecx & LeafExtended1Ecx, Edx = entry.Edx & LeafExtended1Edx },
                0x80000007 => entry with { Eax = 0, Ebx = 0, Ecx = 0, Edx = entry.Edx & InvariantTsc },
                0x80000008 => entry with
                {
                    Eax = (entry.Eax & 0xFF00) | Math.Min(entry.Eax & 0xFF, MaxPhysicalBits), Ebx = 0, Ecx = 0, Edx = 0,
                },
                _ => null,
            };
            if (reduced is { } e)
            {
                shown.Add(new CpuidEntry
                {
                    Function = e.Function, Index = e.Index, Flags = e.Flags, Eax = e.Eax, Ebx = e.Ebx, Ecx = e.Ecx, Edx = e.Edx,
                });
            }
        }

        return shown;
    }

    /// <summary>The entries for one vCPU: as shown to all, with its own APIC id.</summary>
    public static KvmCpuidEntry[] ForVcpu(IReadOnlyList<CpuidEntry> shown, int vcpu, int vcpus)
    {
        var entries = new KvmCpuidEntry[shown.Count];
        for (int i = 0; i < entries.Length; i++)
        {
            CpuidEntry from = shown[i];
            entries[i] = new KvmCpuidEntry
            {
                Function = from.Function, Index = from.Index, Flags = from.Flags,
                Eax = from.Eax, Ebx = from.Ebx, Ecx = from.Ecx, Edx = from.Edx,
            };
            if (from.Function == 1)
            {
                entries[i].Ebx = (from.Ebx & 0x0000FFFF) | (uint)vcpus << 16 | (uint)vcpu << 24;
            }
        }

        return entries;
    }

    /// <summary>Everything that a guest was shown and this host does not have, one phrase each; empty when it can run here.</summary>
    public static List<string> FindUnsupported(MachineProfile profile, ReadOnlySpan<KvmCpuidEntry> supported)
    {
        var lacks = new List<string>();
        if (profile.Cpuid.Count is 0 or > MaxEntries)
        {
            lacks.Add($"a CPUID of 1 to {MaxEntries} entries (the profile has {profile.Cpuid.Count})");
            return lacks;
        }

        foreach (CpuidEntry wanted in profile.Cpuid)
        {
            KvmCpuidEntry has = Find(supported, wanted.Function, wanted.Index);
            AddMissing(lacks, wanted.Function, wanted.Index, 'a', wanted.Eax, has.Eax);
            AddMissing(lacks, wanted.Function, wanted.Index, 'b', wanted.Ebx, has.Ebx);
            AddMissing(lacks, wanted.Function, wanted.Index, 'c', wanted.Ecx, has.Ecx);
            AddMissing(lacks, wanted.Function, wanted.Index, 'd', wanted.Edx, has.Edx);
            if (wanted.Function == 0x80000008 && (wanted.Eax & 0xFF) > (has.Eax & 0xFF))
            {
                lacks.Add($"physical addresses of {wanted.Eax & 0xFF} bits (this host has {has.Eax & 0xFF})");
            }
        }

        KvmCpuidEntry xsave = Find(supported, 0xD, 0);
        ulong xcr0 = Math.Max(1, (ulong)xsave.Edx << 32 | xsave.Eax);
        if ((profile.Xcr0 & ~xcr0) != 0)
        {
            lacks.Add($"XCR0 bits 0x{profile.Xcr0 & ~xcr0:x}");
        }

        return lacks;
    }

    private static KvmCpuidEntry Find(ReadOnlySpan<KvmCpuidEntry> entries, uint function, uint index)
    {
        foreach (KvmCpuidEntry entry in entries)
        {
            if (entry.Function == function && ((entry.Flags & IndexMatters) == 0 || entry.Index == index))
            {
                return entry;
            }
        }

        return default;
    }

    private static void AddMissing(List<string> lacks, uint function, uint index, char register, uint wanted, uint has)
    {
        if (!HoldsFeatures(function, index, register))
        {
            return;
        }

        for (uint missing = wanted & ~has; missing != 0; missing &= missing - 1)
        {
            int bit = BitOperations.TrailingZeroCount(missing);
            string[] names = FeatureNames.GetValueOrDefault((function, index, register)) ?? [];
            string name = bit < names.Length && names[bit].Length > 0 ? $" ({names[bit]})" : "";
            lacks.Add($"CPUID {function:X}.{index}:E{char.ToUpperInvariant(register)}X bit {bit}{name}");
        }
    }

    /// <summary>Whether each bit of a CPUID register is a feature of its own, instead of a number or an identification.</summary>
    private static bool HoldsFeatures(uint function, uint index, char register) => (function, register) switch
    {
        (1, 'c' or 'd') => true,
        (6, 'a') => true,
        (7, 'b' or 'c' or 'd') => true,
        (7, 'a') => index > 0,
        (0xD, 'a') => index is 0 or 1,
        (0xD, 'd') => index == 0,
        (0x40000001, 'a') => true,
        (0x80000001, 'c' or 'd') => true,
        (0x80000007, 'd') => true,
        (0x80000008, 'b') => true,
        (0x80000021, 'a') => true,
        _ => false,
    };
}
