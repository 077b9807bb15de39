using MigrationD.Protocol.V1;

namespace MigrationD.Benchmarks.Migrate;

/// <summary>A guest that is moved, and how it is measured.</summary>
/// <param name="Name">What the tables call it.</param>
/// <param name="Kind">What runs it.</param>
/// <param name="Pattern">Its walk.</param>
/// <param name="MemoryBytes">RAM.</param>
/// <param name="WorkingSetBytes">What the walk covers; every page of it has content before the migration starts.</param>
/// <param name="Paused">Whether it is moved while it stands still, so that the push is measured alone.</param>
internal sealed record MigrationCase(
    string Name, GuestKind Kind, WalkPattern Pattern, long MemoryBytes, long WorkingSetBytes, bool Paused = false)
{
    public const uint Vcpus = 2;
    private const long BlockBytes = 2 << 20;
    private const long MiB = 1 << 20;

    /// <summary>How it is moved.</summary>
    public MigrationMode Mode { get; init; } = MigrationMode.Postcopy;

    /// <summary>Connections that pages are pushed over.</summary>
    public int Lanes { get; init; } = 1;

    /// <summary>Whether pages are packed on their way.</summary>
    public CompressMode Compress { get; init; }

    /// <summary>What the guest writes.</summary>
    public GuestContent Content { get; init; } = GuestContent.Random;

    /// <summary>vCPUs of this guest.</summary>
    public uint VcpuCount { get; init; } = Vcpus;

    /// <summary>At most so much of RAM has content: the working set, and the guest's tables.</summary>
    public long ContentBytes => Math.Min(MemoryBytes, WorkingSetBytes + (MemoryBytes - NearlyAll(MemoryBytes)));

    /// <summary>The largest working set, in whole blocks, that leaves room for the guest's tables: 8 bytes a page, and some.</summary>
    public static long NearlyAll(long memoryBytes)
    {
        long tables = (memoryBytes / 4096 * 8) + MiB;
        return memoryBytes - ((tables + BlockBytes - 1) / BlockBytes * BlockBytes);
    }

    public GuestSpec Spec(string guest) => new()
    {
        Name = guest,
        Kind = Kind,
        MemoryBytes = (ulong)MemoryBytes,
        Vcpus = VcpuCount,
        WorkingSetBytes = (ulong)WorkingSetBytes,
        Pattern = Pattern,
        Content = Content,
    };

    /// <summary>The same guest for whoever runs it without a daemon.</summary>
    public Guest.GuestSpec PlainSpec(string guest) => new(
        guest,
        Kind == GuestKind.Workload ? Guest.GuestKind.Workload : Guest.GuestKind.Kvm,
        MemoryBytes,
        (int)VcpuCount,
        WorkingSetBytes,
        Pattern switch
        {
            WalkPattern.Sequential => Guest.WalkPattern.Sequential,
            WalkPattern.Zipf => Guest.WalkPattern.Zipf,
            _ => Guest.WalkPattern.Uniform,
        });
}
