namespace MigrationD.Daemon.Guests;

/// <summary>How the daemon ended that had a guest.</summary>
internal enum JournalEnd
{
    /// <summary>Without a word: killed, crashed, or its host was.</summary>
    Death,

    /// <summary>In order, because it was told to.</summary>
    Stop,
}
