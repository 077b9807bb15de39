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
