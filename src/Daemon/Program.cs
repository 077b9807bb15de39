using MigrationD.Daemon.Cli;
using MigrationD.Daemon.Cli.Terminal;

return await new CommandLine(CliConsole.OfProcess()).RunAsync(args);
