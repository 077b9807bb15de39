namespace MigrationD.Daemon.Cli.Client;

/// <summary>A command cannot do what it was asked. The message says what was tried, on what, what came back and what to do next.</summary>
internal sealed class CliException(int exitCode, string code, string message) : Exception(message)
{
    /// <summary>One of <see cref="Client.ExitCode"/>, with which the process ends.</summary>
    public int ExitCode => exitCode;

    /// <summary>A word for scripts, such as <c>not-found</c>: gRPC's status in lower case with dashes, or <c>usage</c>.</summary>
    public string Code => code;
}
