namespace MigrationD.Daemon.Cli.Client;

/// <summary>What the process tells the script that started it. The only list of these; the help text is made from it.</summary>
internal static class ExitCode
{
    /// <summary>Done; for migrate and migration watch: the migration completed; for drain: no guest stayed.</summary>
    public const int Ok = 0;

    /// <summary>The operation failed.</summary>
    public const int Failed = 1;

    /// <summary>The command line, or a value in it, is wrong.</summary>
    public const int Usage = 2;

    /// <summary>The daemon does not answer on its control socket.</summary>
    public const int Unreachable = 3;

    /// <summary>The guest or migration does not exist.</summary>
    public const int NotFound = 4;

    /// <summary>The daemon refuses in the state it is in.</summary>
    public const int Refused = 5;

    /// <summary>Ended by Ctrl-C or SIGTERM: 128 + SIGINT, as shells count.</summary>
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
