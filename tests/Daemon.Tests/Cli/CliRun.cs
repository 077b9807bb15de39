using MigrationD.Daemon.Cli;

namespace MigrationD.Daemon.Tests.Cli;

/// <summary>One command line run in this process, with what it wrote.</summary>
internal sealed record CliRun(int ExitCode, string Out, string Error)
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    public static async Task<CliRun> OfAsync(string[] args, CancellationToken cancellation = default)
    {
        using StringWriter output = new(), error = new();
        var line = new CommandLine(new CliConsole(output, error, isTerminal: false));
        var code = await line.RunAsync(args, cancellation).WaitAsync(Deadline, CancellationToken.None);
        return new CliRun(code, output.ToString(), error.ToString());
    }
}
