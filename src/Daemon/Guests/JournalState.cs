namespace MigrationD.Daemon.Guests;

/// <summary>What a daemon has to do with a guest, as far as it matters to the daemon after it.</summary>
internal enum JournalState
{
    /// <summary>The guest is this daemon's alone.</summary>
    Here,

    /// <summary>It is prepared for, and has not run here: its source has it.</summary>
    Expected,

    /// <summary>It is this daemon's, and pages of it are still on its source.</summary>
    Arriving,

    /// <summary>A migration takes it away. Whether it has been handed over, this entry does not know.</summary>
    Leaving,

    /// <summary>It runs elsewhere, and pages of it are still here.</summary>
    Away,
}
