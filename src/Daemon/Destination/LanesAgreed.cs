using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Destination;

/// <summary>What source and destination have agreed on for the lanes of one session.</summary>
/// <param name="Push">How many push lanes there are, 1 to 16.</param>
/// <param name="Compression">How pushed pages may be packed.</param>
internal sealed record LanesAgreed(int Push, PageCompression Compression)
{
    /// <summary>Whether what is said at the switchover comes on a lane.</summary>
    public bool Handover { get; init; }

    /// <summary>Whether pages come before the guest, and again.</summary>
    public bool Precopy { get; init; }

    /// <summary>Whether the source wants to know which blocks are here for good.</summary>
    public bool Confirms { get; init; }
}
