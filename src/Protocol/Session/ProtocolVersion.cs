namespace MigrationD.Protocol.Session;

/// <summary>The version of the daemon-to-daemon protocol. A daemon speaks its own version and the one before.</summary>
public static class ProtocolVersion
{
    /// <summary>The version that this build speaks when it is the source.</summary>
    public const uint Current = 1;

    /// <summary>The oldest version that this build accepts when it is the destination; there is no version 0.</summary>
    public const uint Oldest = 1;

    /// <summary>Whether a destination of this build accepts a source that speaks <paramref name="version"/>.</summary>
    public static bool IsAccepted(uint version) => version is >= Oldest and <= Current;
}
