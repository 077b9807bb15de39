namespace MigrationD.Protocol.Session;

/// <summary>The version of the daemon-to-daemon protocol. A daemon speaks its own version and the one before.</summary>
public static class ProtocolVersion
{
    /// <summary>The version that this build speaks when it is the source.</summary>
    public const uint Current = 1;

    /// <summary>The versions that this build accepts, newest first; there is no version 0.</summary>
    public static IReadOnlyList<uint> Accepted { get; } = [Current];

    /// <summary>Whether a destination of this build accepts a source that speaks <paramref name="version"/>.</summary>
    public static bool IsAccepted(uint version) => Accepted.Contains(version);
}
