namespace MigrationD.Protocol.Session;

/// <summary>Where a migration stands on its source.</summary>
public enum SourceState
{
    /// <summary>Nothing has been asked of the destination yet.</summary>
    Idle,

    /// <summary>The destination prepares and the lanes are dialled; the guest runs here, untouched.</summary>
    Setup,

    /// <summary>The guest runs here while its memory is copied, in rounds.</summary>
    PrecopyActive,

    /// <summary>Switchover: the guest is paused here and its device state goes over.</summary>
    Device,

    /// <summary>The guest is given away and Run was sent; whether it arrived is not known yet.</summary>
    HandingOver,

    /// <summary>The guest runs on the destination and its pages follow.</summary>
    PostcopyActive,

    /// <summary>The lanes are lost while pages are missing on the destination. Every page is kept here.</summary>
    PostcopyPaused,

    /// <summary>The destination holds every page; the guest is freed here.</summary>
    Completed,

    /// <summary>It did not happen; the guest goes on here as before.</summary>
    Failed,

    /// <summary>The operator stopped it before the handover; the guest goes on here as before.</summary>
    Cancelled,
}
