using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Cli.Views;
using MigrationD.Daemon.Json;

namespace MigrationD.Daemon.Cli.Commands.Config;

/// <summary>Shows what is in force in a daemon.</summary>
internal sealed class ConfigShowCommand : ClientCommand
{
    public ConfigShowCommand(CliConsole console)
        : base("show", "Show every option that is in force in the daemon, and where its value came from.", console)
    {
        Examples = ["migrationd config show", "migrationd config show --json"];
    }

    protected override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellationToken)
    {
        var values = (await client.GetConfigAsync(cancellationToken))
            .Select(one => new ConfigValueJson(one.Key, one.Value, one.Origin, one.OriginDetail.Length > 0 ? one.OriginDetail : null))
            .ToArray();
        ConfigView.Write(Terminal, values, parse.GetValue(Json));
        return ExitCode.Ok;
    }
}
