using System.CommandLine;
using MigrationD.Daemon.Cli.Json;

namespace MigrationD.Daemon.Cli;

/// <summary>Shows one migration.</summary>
internal sealed class MigrationShowCommand : ClientCommand
{
    private readonly Argument<string> _id = MigrationCommand.IdArgument();

    /// <summary>The command.</summary>
    public MigrationShowCommand(CliConsole console)
        : base("show", "Show a migration as it is now: times, pages by path, fault latency.", console)
    {
        Examples = ["migrationd migration show ID", "migrationd migration show ID --json"];
        Arguments.Add(_id);
    }

    /// <inheritdoc/>
    protected override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellation)
    {
        var migration = await client.GetMigrationAsync(parse.GetRequiredValue(_id), cancellation);
        if (parse.GetValue(Json))
        {
            CliJson.WriteLine(Terminal.Out, JsonShapes.Of(migration));
        }
        else
        {
            MigrationView.Write(Terminal.Ansi, migration);
        }

        return ExitCode.Ok;
    }
}
