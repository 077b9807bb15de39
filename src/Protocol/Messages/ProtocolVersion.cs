namespace MigrationD.Protocol.Messages;

/// <summary>The version of the daemon-to-daemon protocol. A daemon accepts its own version and the one before.</summary>
public static class ProtocolVersion
{
    /// <summary>The newest version; it added precopy, several push lanes, and guests whose content is not random.</summary>
    public const uint Current = 2;

    private const uint Postcopy = 1;

    /// <summary>The versions that this build accepts, newest first; there is no version 0.</summary>
    public static IReadOnlyList<uint> Accepted { get; } = [Current, Postcopy];

    /// <summary>
    /// What a source speaks: the oldest version that has all that the migration needs, so that guests can go to hosts that are yet to be
    /// upgraded.
    /// </summary>
    /// <param name="more">Whether it has anything besides post-copy over one push lane.</param>
    public static uint Needed(bool more) => more ? Current : Postcopy;

    /// <summary>Whether a destination of this build accepts a source that speaks <paramref name="version"/>.</summary>
    public static bool IsAccepted(uint version) => Accepted.Contains(version);
}
