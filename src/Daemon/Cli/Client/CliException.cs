namespace MigrationD.Daemon.Cli.Client;

/// <summary>A command cannot do what it was asked. The message says what was tried, on what, what came back and what to do next.</summary>
internal sealed class CliException : Exception
{
    /// <summary>A failure that ends the process with <paramref name="exitCode"/>.</summary>
    /// <param name="exitCode">One of <see cref="Client.ExitCode"/>.</param>
    /// <param name="code">The same for scripts that read --json: a word such as <c>not-found</c>.</param>
    /// <param name="message">The sentence for people.</param>
    public CliException(int exitCode, string code, string message)
        : base(message)
    {
        ExitCode = exitCode;
        Code = code;
    }

    /// <summary>One of <see cref="Client.ExitCode"/>.</summary>
    public int ExitCode { get; }

    /// <summary>A word such as <c>not-found</c>: gRPC's status in lower case with dashes, or <c>usage</c>.</summary>
    public string Code { get; }
}
