using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Commands.Guests;
using MigrationD.Daemon.Cli.Options;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Json;

namespace MigrationD.Daemon.Cli.Commands.Migrations;

/// <summary>Moves a guest to another daemon.</summary>
internal sealed class MigrateCommand : ClientCommand
{
    private readonly Argument<string> _name = GuestCommand.NameArgument();

    private readonly Option<string> _to = new("--to")
    {
        Description = "The destination daemon's control address: what it was given as --listen.",
        HelpName = "HOST:PORT",
        Required = true,
    };

    private readonly Option<bool> _detach = new("--detach")
    {
        Description = "Return as soon as the migration has started; follow it with 'migrationd migration watch ID'.",
    };

    private readonly MigrationPlanOptions _plan;

    public MigrateCommand(CliConsole console)
        : base("migrate", "Move a running guest to another daemon, live: most of its memory goes ahead, and the rest follows.", console)
    {
        Notes =
        [
            "Waits for the end unless --detach is given, and shows the migration as 'migration watch' does; with --json that is a JSON "
                + "object",
            "a line, the final state last. The exit code is 0 only when the migration completed. While the link is lost (postcopy-paused) "
                + "it",
            "goes on waiting, and says so with the reason and what can be done.",
        ];
        Examples =
        [
            "migrationd migrate web --to 10.0.0.6:7461",
            "migrationd migrate web --to 10.0.0.6:7461 --json",
            "migrationd migrate web --to 10.0.0.6:7461 --mode postcopy",
            "migrationd migrate web --to 10.0.0.6:7461 --mode precopy --downtime-limit 50ms --timeout-strategy continue",
            "migrationd migrate web --to 10.0.0.6:7461 --detach",
        ];
        _to.Validators.Add(PeerAddress.Check);
        Arguments.Add(_name);
        Options.Add(_to);
        Options.Add(_detach);
        _plan = new MigrationPlanOptions(this);
    }

    protected override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellationToken)
    {
        var json = parse.GetValue(Json);
        var guest = parse.GetRequiredValue(_name);
        if (!json && _plan.ReleasesRam(parse))
        {
            // On standard error, where it is seen whatever becomes of the output.
            Terminal.Error.WriteLine(
                "WARNING: --release-ram: once the guest has been switched over, this host gives up its memory piece by piece. If the "
                + $"destination is lost before the end, guest {guest} is lost: 'migration resolve --resume-here' is refused.");
        }

        var migration = await client.MigrateAsync(_plan.Read(parse, guest, parse.GetRequiredValue(_to)), cancellationToken);
        if (parse.GetValue(_detach))
        {
            return Show(parse, JsonShapes.Of(migration), () => Terminal.Out.WriteLine(
                $"migration {migration.Id} started; follow it with 'migrationd migration watch {migration.Id}'"));
        }

        try
        {
            return await MigrationOutcome.FollowAsync(Terminal, client.WatchMigrationAsync(migration.Id, cancellationToken), json);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            throw new CliException(ExitCode.Interrupted, "interrupted",
                $"stopped waiting; migration {migration.Id} goes on. Follow it with 'migrationd migration watch {migration.Id}'.");
        }
    }
}
