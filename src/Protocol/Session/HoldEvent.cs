namespace MigrationD.Protocol.Session;

/// <summary>What can happen to the hold on a guest: the engines' steps, and what operators order.</summary>
public enum HoldEvent
{
    /// <summary>An operator wants it paused or resumed.</summary>
    CommandOrdered,

    /// <summary>An operator wants to read all of its memory.</summary>
    ReadOrdered,

    /// <summary>An operator wants to read what is here of its memory.</summary>
    SalvageOrdered,

    /// <summary>An operator wants it deleted.</summary>
    DeleteOrdered,

    /// <summary>An operator wants it moved: the source's engine takes it.</summary>
    Taken,

    /// <summary>The source gives it away; Run is sent next.</summary>
    GivenAway,

    /// <summary>The migration did not happen, or its guest goes on here after all.</summary>
    Returned,

    /// <summary>Every page is elsewhere: its memory here is freed.</summary>
    Freed,

    /// <summary>It runs here; its pages follow.</summary>
    Arrived,

    /// <summary>Every page has come.</summary>
    Settled,

    /// <summary>Pages are lost with the source.</summary>
    PagesLost,

    /// <summary>The source is back after all.</summary>
    Revived,

    /// <summary>It is not coming, or is lost and deleted: its machine ends.</summary>
    Discarded,
}
