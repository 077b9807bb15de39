namespace MigrationD.Protocol.Session;

/// <summary>Who has a guest of this node in hand right now: its operators, a migration on either side, or nobody any more.</summary>
public enum Hold
{
    /// <summary>No migration: the guest is this node's alone, and its operators'.</summary>
    None,

    /// <summary>The guest is on its way out, and still owned here.</summary>
    Outgoing,

    /// <summary>The guest is given away; its memory is kept for the destination.</summary>
    Away,

    /// <summary>The guest is given away and all of it is there. Only what is known of it is left here.</summary>
    Gone,

    /// <summary>The guest is on its way in, and not owned here yet.</summary>
    Incoming,

    /// <summary>The guest does not come, or was lost and is deleted: its machine has ended, and its memory is being let go of.</summary>
    Discarded,

    /// <summary>The guest is owned and may run here; pages are still on the source.</summary>
    Arriving,

    /// <summary>The guest is owned here and stands still for good: pages were lost with the source. Its memory is kept.</summary>
    Lost,

    /// <summary>The guest is lost and an operator deletes it. Its session decides whether that comes before the source's return.</summary>
    Deleting,

    /// <summary>The guest ended with a daemon before this one. Only what is known of it is left.</summary>
    Ended,

    /// <summary>An operator deleted the guest, or what was known of it.</summary>
    Deleted,
}
