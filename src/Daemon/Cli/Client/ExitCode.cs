namespace MigrationD.Daemon.Cli.Client;

/// <summary>What the process tells the script that started it. The only list of these; the help text is made from it.</summary>
internal static class ExitCode
{
    public const int Ok = 0;
    public const int Failed = 1;
    public const int Usage = 2;
    public const int Unreachable = 3;
    public const int NotFound = 4;
    public const int Refused = 5;
    // 128 + SIGINT, as shells count.
    public const int Interrupted = 130;

    /// <summary>Each code with its meaning for the help text.</summary>
    public static IReadOnlyList<(int Code, string Meaning)> All { get; } =
    [
        (Ok, "done (migrate: the migration completed; drain: no guest stayed; doctor: guests can migrate here; health: the daemon works)"),
        (Failed, "the operation failed"),
        (Usage, "the command line, or a value in it, is wrong"),
        (Unreachable, "the daemon does not answer on its control socket"),
        (NotFound, "no such guest or migration"),
        (Refused, "refused as things are now: the name is taken, memory is short, the guest is in another state"),
        (Interrupted, "ended by Ctrl-C or SIGTERM"),
    ];
}
