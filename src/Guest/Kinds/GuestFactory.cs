using System.Globalization;
using MigrationD.Guest.Programs.Pulse;

namespace MigrationD.Guest.Kinds;

/// <summary>Makes guests of every kind.</summary>
public static class GuestFactory
{
    private const int MaxNameLength = 63;

    /// <summary>
    /// A new guest, paused: its program is written into <paramref name="memory"/>, which is all zeros, and its vCPUs stand at its first
    /// instruction. It fills its working set itself when it runs; steps count from then on.
    /// </summary>
    /// <exception cref="ArgumentException"><see cref="Validate"/> objects, or the memory has another size.</exception>
    /// <exception cref="SystemCallException">The kernel refused something, /dev/kvm above all.</exception>
    /// <exception cref="NotSupportedException">KVM on this host lacks something.</exception>
    public static IGuest Create(GuestSpec spec, GuestMemory memory)
    {
        ThrowIfInvalid(spec, memory);
        return spec.Kind == GuestKind.Kvm ? KvmGuest.Create(spec, memory) : WorkloadGuest.Create(spec, memory);
    }

    /// <summary>
    /// A guest that is to come from another host, paused: the machine is there, its state and memory are not. Does not touch
    /// <paramref name="memory"/>.
    /// </summary>
    /// <exception cref="ArgumentException"><see cref="Validate"/> objects, or the memory has another size.</exception>
    /// <exception cref="GuestStateException">This host cannot run it; the message says what it lacks.</exception>
    /// <exception cref="SystemCallException">The kernel refused something else than what the profile asks for.</exception>
    public static IGuest Incoming(GuestSpec spec, GuestMemory memory, ReadOnlySpan<byte> machineProfile)
    {
        ThrowIfInvalid(spec, memory);
        return spec.Kind == GuestKind.Kvm
            ? KvmGuest.Incoming(spec, memory, machineProfile)
            : WorkloadGuest.Incoming(spec, memory, machineProfile);
    }

    /// <summary>Everything wrong with a specification, in the words of a person who has to mend it; empty when nothing is.</summary>
    public static IReadOnlyList<string> Validate(GuestSpec spec)
    {
        var objections = new List<string>();
        ObjectUnless(
            IsName(spec.Name),
            $"The name must be 1 to {MaxNameLength} characters of a-z, A-Z, 0-9, '-', '_' and '.', and start with a letter or digit.");
        ObjectUnless(Enum.IsDefined(spec.Kind), $"The kind {(int)spec.Kind} is unknown; kvm and workload exist.");
        ObjectUnless(Enum.IsDefined(spec.Pattern), $"The pattern {(int)spec.Pattern} is unknown; sequential, uniform and zipf exist.");
        ObjectUnless(Enum.IsDefined(spec.Content), $"The content {(int)spec.Content} is unknown; random and counting exist.");
        bool vcpusFit = spec.Vcpus is >= 1 and <= AddressMap.MaxVcpus;
        ObjectUnless(vcpusFit, $"A guest has 1 to {AddressMap.MaxVcpus} vCPUs, not {spec.Vcpus}.");
        bool memoryFits = (spec.MemoryBytes is > 0 and <= AddressMap.MaxMemory) && spec.MemoryBytes % GuestPage.BlockSize == 0;
        ObjectUnless(
            memoryFits,
            $"Memory must be a multiple of 2 MiB, at least 2 MiB and at most {Size(AddressMap.MaxMemory)}, not {Size(spec.MemoryBytes)}.");
        if (spec.WorkingSetBytes <= 0 || spec.WorkingSetBytes % GuestPage.Size != 0)
        {
            objections.Add($"The working set must be a multiple of 4096 bytes and more than 0, not {Size(spec.WorkingSetBytes)}.");
        }
        else if (vcpusFit && spec.WorkingSetBytes / GuestPage.Size < spec.Vcpus)
        {
            objections.Add(
                $"The working set of {Size(spec.WorkingSetBytes)} has less than a page of 4096 bytes for each of {spec.Vcpus} vCPUs.");
        }
        else if (vcpusFit && memoryFits)
        {
            long largest = PulseLayout.LargestWorkingSet(spec.MemoryBytes, spec.Vcpus, spec.Pattern);
            ObjectUnless(
                spec.WorkingSetBytes <= largest,
                $"A working set of {Size(spec.WorkingSetBytes)} does not fit into memory of {Size(spec.MemoryBytes)} together with the " +
                $"guest's own tables; at most {Size(largest)} do.");
        }

        return objections;

        void ObjectUnless(bool fits, string objection)
        {
            if (!fits)
            {
                objections.Add(objection);
            }
        }
    }

    private static void ThrowIfInvalid(GuestSpec spec, GuestMemory memory)
    {
        if (Validate(spec) is { Count: > 0 } objections)
        {
            throw new ArgumentException(string.Join(' ', objections), nameof(spec));
        }

        if (memory.Length != spec.MemoryBytes)
        {
            throw new ArgumentException(
                $"the memory has {memory.Length} bytes, the specification of guest {spec.Name} says {spec.MemoryBytes}", nameof(memory));
        }
    }

    private static bool IsName(string? name) =>
        name is { Length: >= 1 and <= MaxNameLength }
        && char.IsAsciiLetterOrDigit(name[0])
        && name.All(character => char.IsAsciiLetterOrDigit(character) || (character is '-' or '_' or '.'));

    private static string Size(long bytes) => bytes % (1 << 20) == 0
        ? string.Create(CultureInfo.InvariantCulture, $"{bytes >> 20} MiB")
        : string.Create(CultureInfo.InvariantCulture, $"{bytes} bytes ({bytes / 1048576.0:0.##} MiB)");
}
