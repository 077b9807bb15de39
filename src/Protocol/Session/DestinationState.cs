namespace MigrationD.Protocol.Session;

/// <summary>Where a migration stands on its destination.</summary>
public enum DestinationState
{
    /// <summary>Memory and machine are there; the device state is not.</summary>
    Prepared,

    /// <summary>The device state is being loaded; that may itself ask for pages.</summary>
    Loading,

    /// <summary>The guest could run now. It does not before Run.</summary>
    Ready,

    /// <summary>The guest runs here; pages follow.</summary>
    PostcopyActive,

    /// <summary>The guest runs here; the lanes are lost while pages are missing.</summary>
    PostcopyPaused,

    /// <summary>The guest runs here; the source has been told which pages are here and opens new lanes.</summary>
    PostcopyRecover,

    /// <summary>The source is gone, and pages with it. The guest stands still; its memory is kept, and the missing pages stay missing.</summary>
    Lost,

    /// <summary>It was lost, and an operator deleted it.</summary>
    Deleted,

    /// <summary>Every page is here.</summary>
    Completed,

    /// <summary>The guest never ran here and never will in this session.</summary>
    NeverStarted,
}
