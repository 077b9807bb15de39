using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Cli.Views;
using MigrationD.Daemon.Json;

namespace MigrationD.Daemon.Cli.Commands;

/// <summary>Shows the daemon itself: above all the ports that it chose.</summary>
internal sealed class NodeCommand : ClientCommand
{
    public NodeCommand(CliConsole console)
        : base("node", "Show the daemon itself: its name, version, and the addresses where it is reached.", console)
    {
        Examples = ["migrationd node", "migrationd node --json"];
    }

    protected override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellationToken)
    {
        var node = JsonShapes.Of(await client.GetNodeAsync(cancellationToken));
        return Show(parse, node, () => FieldView.Write(Terminal.Ansi,
        [
            ("name", node.Name),
            ("version", node.Version),
            ("protocol", string.Join(", ", node.ProtocolVersions)),
            ("control", node.Listen),
            ("lanes", node.Lanes),
            ("web", node.Web ?? ""),
            ("drained", node.Drained ? "yes: it takes in no guests until 'migrationd undrain'" : ""),
            ("process", node.ProcessId.ToString(System.Globalization.CultureInfo.InvariantCulture)),
        ]));
    }
}
