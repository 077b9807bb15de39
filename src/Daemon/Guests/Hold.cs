namespace MigrationD.Daemon.Guests;

/// <summary>What a migration does with a guest of this node right now.</summary>
internal enum Hold
{
    /// <summary>Nothing: the guest is this node's alone.</summary>
    None,

    /// <summary>It is on its way out, and still owned here.</summary>
    Outgoing,

    /// <summary>It is given away; its memory may still be kept for the destination.</summary>
    Away,

    /// <summary>It is on its way in, and not owned here yet.</summary>
    Incoming,

    /// <summary>It is owned and may run here; pages are still on the source.</summary>
    Arriving,

    /// <summary>It is owned here and stands still for good: pages were lost with the source. Its memory is kept.</summary>
    Lost,

    /// <summary>It ended with a daemon before this one. Only what is known of it is left.</summary>
    Ended,
}
