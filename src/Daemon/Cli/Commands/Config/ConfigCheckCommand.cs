using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Help;
using MigrationD.Daemon.Cli.Options;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Cli.Views;
using MigrationD.Daemon.Json;

namespace MigrationD.Daemon.Cli.Commands.Config;

/// <summary>Checks a configuration without starting a daemon.</summary>
internal sealed class ConfigCheckCommand : CliCommand
{
    public ConfigCheckCommand(CliConsole console)
        : base("check", "Check a configuration as 'serve' with the same options would, and show what would be in force.")
    {
        Notes = ["Needs no daemon. Everything that is wrong is said at once, with its key, its value and where that came from."];
        Examples = ["migrationd config check", "migrationd config check --config ./migrationd.json --json"];
        var flags = new DaemonFlags();
        var json = new JsonOption();
        flags.AddTo(this);
        Options.Add(json);
        SetAction(parse =>
        {
            var options = DaemonFlags.Load(flags.Given(parse), "start a daemon with this");
            var values = options.Values
                .Select(one => new ConfigValueJson(one.Key.Name, one.Value, one.Origin.ToString().ToLowerInvariant(), one.OriginDetail))
                .ToArray();
            ConfigView.Write(console, values, parse.GetValue(json));
            return ExitCode.Ok;
        });
    }
}
