namespace MigrationD.Guest.Platform;

/// <summary>
/// Says where a guest's processor finds RAM, and how much of a machine there may be. What lies in its hole besides devices is KVM's: the
/// TSS pages of <see cref="Machine.KvmVirtualMachine"/>.
/// </summary>
/// <remarks>
/// Offsets in RAM are those of <see cref="Memory.GuestMemory"/>, without a gap. Physical addresses are the same up to
/// <see cref="HoleStart"/>; from there to <see cref="HoleEnd"/> lie the devices of a PC, its APICs among them, and the rest of RAM above.
/// </remarks>
internal static class AddressMap
{
    /// <summary>The most vCPUs a guest may have.</summary>
    public const int MaxVcpus = 4;

    /// <summary>The largest RAM, in bytes: what one entry of a guest's page-map reaches.</summary>
    public const long MaxMemory = 511L << 30;

    /// <summary>The end of the physical addresses that are offsets in RAM.</summary>
    public const long HoleStart = 3L << 30;

    /// <summary>The physical address at which RAM goes on.</summary>
    public const long HoleEnd = 4L << 30;

    /// <summary>The first I/O port of the first serial port, as on every PC.</summary>
    public const ushort SerialPort = 0x3F8;

    /// <summary>Where a byte of RAM is for the guest's processor.</summary>
    public static long PhysicalAddress(long offset) => offset < HoleStart ? offset : offset - HoleStart + HoleEnd;

    /// <summary>The pieces of RAM of this many bytes, in the order of their offsets: one, or one on either side of the hole.</summary>
    public static IReadOnlyList<RamPiece> PiecesOf(long memoryBytes) => memoryBytes > HoleStart
        ? [new RamPiece(0, HoleStart), new RamPiece(HoleStart, memoryBytes - HoleStart)]
        : [new RamPiece(0, memoryBytes)];
}

/// <summary>A piece of RAM whose physical addresses follow each other.</summary>
internal readonly record struct RamPiece(long Offset, long Length)
{
    /// <summary>Where it begins for the guest's processor.</summary>
    public long PhysicalAddress => AddressMap.PhysicalAddress(Offset);
}
