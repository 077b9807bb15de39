namespace MigrationD.Guest;

/// <summary>What a guest is made of; the same on every host it runs on.</summary>
/// <param name="Name">1 to 63 characters of a-z, A-Z, 0-9, '-', '_' and '.', the first a letter or digit.</param>
/// <param name="Kind">What runs it.</param>
/// <param name="MemoryBytes">RAM; a multiple of 2 MiB.</param>
/// <param name="Vcpus">1 to 4.</param>
/// <param name="WorkingSetBytes">How much of RAM the walk covers; a multiple of 4096 bytes.</param>
/// <param name="Pattern">The order of the walk.</param>
public sealed record GuestSpec(
    string Name,
    GuestKind Kind,
    long MemoryBytes,
    int Vcpus,
    long WorkingSetBytes,
    WalkPattern Pattern)
{
    /// <summary>What it writes.</summary>
    public GuestContent Content { get; init; } = GuestContent.Random;
}

/// <summary>What runs a guest.</summary>
public enum GuestKind
{
    /// <summary>A microVM on /dev/kvm with the built-in pulse guest.</summary>
    Kvm = 1,

    /// <summary>The same walk on host threads.</summary>
    Workload = 2,
}

/// <summary>The order in which a guest visits the pages of its working set.</summary>
public enum WalkPattern
{
    /// <summary>One page after the other, over and over.</summary>
    Sequential = 1,

    /// <summary>Each page equally likely.</summary>
    Uniform = 2,

    /// <summary>A few pages most of the time (Zipf's law, exponent 1).</summary>
    Zipf = 3,
}

/// <summary>What a guest writes into the pages of its working set.</summary>
public enum GuestContent
{
    /// <summary>Words that have nothing in common: nothing packs them.</summary>
    Random = 1,

    /// <summary>Words that count up: packed, an eighth is left, as of the heap of many a program.</summary>
    Counting = 2,
}
