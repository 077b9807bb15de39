using MigrationD.Daemon.Cli.Help;
using MigrationD.Daemon.Cli.Terminal;

namespace MigrationD.Daemon.Cli.Commands.Config;

/// <summary>Groups the commands about the daemon's configuration.</summary>
internal sealed class ConfigCommand : CliCommand
{
    public ConfigCommand(CliConsole console)
        : base("config", "Show or check the daemon's configuration.")
    {
        Examples = ["migrationd config show", "migrationd config check --config ./migrationd.json"];
        Subcommands.Add(new ConfigShowCommand(console));
        Subcommands.Add(new ConfigCheckCommand(console));
    }
}
