using System.CommandLine;
using MigrationD.Daemon.Cli.Json;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli;

/// <summary>Decides that the other side of a migration is gone for good.</summary>
internal sealed class MigrationResolveCommand : ClientCommand
{
    private readonly Argument<string> _id = MigrationCommand.IdArgument();

    private readonly Option<bool> _resumeHere = new("--resume-here")
    {
        Description = "On the source: let the guest go on here as it was at the switchover. What it did since then is lost.",
    };

    private readonly Option<bool> _giveUp = new("--give-up")
    {
        Description = "On the destination: stop the guest; the pages that are not here are lost.",
    };

    private readonly Option<bool> _force = new("--force")
    {
        Description = "With --resume-here, when the destination does not answer: you have made sure that the guest does not run there.",
    };

    /// <summary>The command.</summary>
    public MigrationResolveCommand(CliConsole console)
        : base("resolve", "Say what no daemon can know: that the other side of a paused migration is gone for good.", console)
    {
        Notes =
        [
            "A link that comes back is restored without this. A destination that answers and has the guest makes --resume-here refused,",
            "because a guest must never run twice.",
        ];
        Examples =
        [
            "migrationd migration resolve ID --resume-here",
            "migrationd migration resolve ID --resume-here --force",
            "migrationd migration resolve ID --give-up",
        ];
        Arguments.Add(_id);
        Options.Add(_resumeHere);
        Options.Add(_giveUp);
        Options.Add(_force);
        Validators.Add(result =>
        {
            if (result.GetValue(_resumeHere) == result.GetValue(_giveUp))
            {
                result.AddError("say one of --resume-here (on the source) and --give-up (on the destination)");
            }
            else if (result.GetValue(_force) && !result.GetValue(_resumeHere))
            {
                result.AddError("--force goes with --resume-here");
            }
        });
    }

    /// <inheritdoc/>
    protected override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellation)
    {
        var id = parse.GetRequiredValue(_id);
        var resolution = parse.GetValue(_resumeHere) ? Resolution.ResumeHere : Resolution.GiveUp;
        await client.ResolveMigrationAsync(id, resolution, parse.GetValue(_force), cancellation);
        var migration = await MigrationProgress.WaitAsync(client.WatchMigrationAsync(id, cancellation));
        if (parse.GetValue(Json))
        {
            CliJson.WriteLine(Terminal.Out, JsonShapes.Of(migration));
        }
        else
        {
            Terminal.Out.WriteLine($"migration {id} of guest {migration.Guest} is {Words.Of(migration.State)}: {migration.Reason}");
        }

        // The decision was carried out when it is what ended the migration; the link may have come back just before.
        return migration.State == MigrationState.Failed ? ExitCode.Ok : ExitCode.Failed;
    }
}
