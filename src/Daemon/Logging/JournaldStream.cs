namespace MigrationD.Daemon.Logging;

/// <summary>Finds out whether standard error leads to the journal (JOURNAL_STREAM in systemd.exec(5)).</summary>
internal static class JournaldStream
{
    /// <summary>Where systemd says which stream it made: device and inode, decimal, with a colon between them.</summary>
    public const string Variable = "JOURNAL_STREAM";

    /// <summary>Whether a descriptor is that stream: what is inherited may have been redirected since.</summary>
    /// <param name="stream">What JOURNAL_STREAM says.</param>
    /// <param name="target">Where the descriptor's link in /proc/self/fd leads.</param>
    // All sockets of a kernel are on one device, so the inode of a socket says which it is.
    public static bool Is(string? stream, string? target) =>
        stream?.Split(':') is [_, { Length: > 0 } inode] && target == $"socket:[{inode}]";

    /// <summary>Whether this process's standard error leads to the journal.</summary>
    public static bool IsStandardError() =>
        Is(Environment.GetEnvironmentVariable(Variable), new FileInfo("/proc/self/fd/2").LinkTarget);
}
