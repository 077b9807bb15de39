using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Json;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Notation;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli.Commands.Migrations;

/// <summary>A command that orders something about a migration, waits for what comes of it and says so.</summary>
internal abstract class MigrationOrder : ClientCommand
{
    private readonly Argument<string> _id = MigrationCommand.IdArgument();

    /// <summary>An order under <paramref name="name"/>.</summary>
    protected MigrationOrder(string name, string description, CliConsole console)
        : base(name, description, console)
    {
        Arguments.Add(_id);
    }

    /// <summary>Gives the order.</summary>
    /// <returns>The migration right after it.</returns>
    protected abstract Task<Migration> OrderAsync(
        ParseResult parse, ControlClient client, string id, CancellationToken cancellation);

    /// <summary>What came of the order: a sentence when it was carried out, null when it was not.</summary>
    protected abstract string? Outcome(ParseResult parse, Migration migration);

    /// <summary>Whether it shows what came of the order.</summary>
    /// <param name="ordered">The migration right after the order.</param>
    /// <param name="now">The migration now.</param>
    protected virtual bool IsDecided(Migration ordered, Migration now) => MigrationRecord.IsFinalState(now.State);

    /// <inheritdoc/>
    protected sealed override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellation)
    {
        var id = parse.GetRequiredValue(_id);
        var ordered = await OrderAsync(parse, client, id, cancellation);
        var last = ordered;
        try
        {
            await foreach (var now in client.WatchMigrationAsync(id, cancellation))
            {
                last = now;
                if (IsDecided(ordered, now))
                {
                    break;
                }
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
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
