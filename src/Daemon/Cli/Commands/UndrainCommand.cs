using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Json;

namespace MigrationD.Daemon.Cli.Commands;

/// <summary>Lets a drained daemon take guests in again.</summary>
internal sealed class UndrainCommand : ClientCommand
{
    public UndrainCommand(CliConsole console)
        : base("undrain", "Let a drained daemon take in guests again; a drain under way ends, the migrations that it began go on.", console)
    {
        Notes =
        [
            "Guests that were moved away do not come back by themselves: 'migrationd migrate' on the hosts where they are moves them.",
        ];
        Examples = ["migrationd undrain"];
    }

    protected override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellationToken)
    {
        var node = await client.UndrainAsync(cancellationToken);
        return Show(
            parse, new UndrainJson(node.Name, node.Drained), () => Terminal.Out.WriteLine($"{node.Name} takes in guests"));
    }
}
