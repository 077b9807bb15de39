using MigrationD.Daemon.Cli;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;

namespace MigrationD.Daemon.Tests.Cli;

/// <summary>One command line run in this process, with what it wrote.</summary>
internal sealed record CliRun(int ExitCode, string Out, string Error)
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    /// <summary>What it wrote on standard output as bytes.</summary>
    public byte[] Bytes { get; private init; } = [];

    public static async Task<CliRun> OfAsync(string[] args, CancellationToken cancellation = default, bool isTerminal = false)
    {
        using StringWriter output = new(), error = new();
        using var bytes = new MemoryStream();
        var line = new CommandLine(new CliConsole(output, error, isTerminal, bytes));
        var code = await line.RunAsync(args, cancellation).WaitAsync(Deadline, CancellationToken.None);
        return new CliRun(code, output.ToString(), error.ToString()) { Bytes = bytes.ToArray() };
    }
}
