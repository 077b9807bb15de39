using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Json;
using MigrationD.Daemon.Migrations;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli.Commands.Migrations;

/// <summary>A command that orders something about a migration, waits for what comes of it and says so.</summary>
internal abstract class MigrationOrder : ClientCommand
{
    private readonly Argument<string> _id = MigrationCommand.IdArgument();

    protected MigrationOrder(string name, string description, CliConsole console)
        : base(name, description, console)
    {
        Arguments.Add(_id);
    }

    /// <summary>Gives the order; the migration is as it is right after that.</summary>
    protected abstract Task<Migration> OrderAsync(ParseResult parse, ControlClient client, string id, CancellationToken cancellationToken);

    /// <summary>Says what came of the order, in a sentence; null when it was not carried out.</summary>
    protected abstract string? Outcome(ParseResult parse, Migration migration);

    /// <summary>Whether the migration, which was <paramref name="ordered"/> right after the order, now shows what came of that.</summary>
    protected virtual bool IsDecided(Migration ordered, Migration now) => MigrationRecord.IsFinalState(now.State);

    protected sealed override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellationToken)
    {
        var id = parse.GetRequiredValue(_id);
        var ordered = await OrderAsync(parse, client, id, cancellationToken);
        var last = ordered;
        try
        {
            await foreach (var now in client.WatchMigrationAsync(id, cancellationToken))
            {
                last = now;
                if (IsDecided(ordered, now))
                {
                    break;
                }
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            throw new CliException(ExitCode.Interrupted, "interrupted",
                $"stopped waiting; the order about migration {id} stands. Follow it with 'migrationd migration watch {id}'.");
        }

        if (parse.GetValue(Json))
        {
            CliJson.WriteLine(Terminal.Out, JsonShapes.Of(last));
        }

        if (Outcome(parse, last) is not { } outcome)
        {
            var state = Words.Of(last.State);
            throw new CliException(ExitCode.Failed, $"migration-{state}",
                $"migration {id} of guest {last.Guest} is {state}" + (last.Reason.Length > 0 ? $": {last.Reason}" : ""));
        }

        if (!parse.GetValue(Json))
        {
            Terminal.Out.WriteLine(outcome);
        }

        return ExitCode.Ok;
    }
}
