using MigrationD.Daemon.Cli;

return await new CommandLine(CliConsole.OfProcess()).RunAsync(args);
