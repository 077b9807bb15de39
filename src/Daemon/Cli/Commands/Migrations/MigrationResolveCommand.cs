using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli.Commands.Migrations;

/// <summary>The operator decides that the other side of a migration is gone for good.</summary>
internal sealed class MigrationResolveCommand : MigrationOrder
{
    private readonly Option<bool> _resumeHere = new("--resume-here")
    {
        Description = "On the source: the destination is gone. The guest goes on here as it was at the switchover; all that ran after "
            + "it is lost.",
    };

    private readonly Option<bool> _giveUp = new("--give-up")
    {
        Description = "On the destination: the source is gone. The guest stops here and the pages that have not come are lost.",
    };

    private readonly Option<bool> _force = new("--force")
    {
        Description = "With --resume-here: although the destination does not answer. Only when you have made sure that the guest does not "
            + "run there: a guest that runs twice is worse than one that is lost.",
    };

    public MigrationResolveCommand(CliConsole console)
        : base("resolve", "Decide what no daemon can know: that the other side of a migration is gone for good.", console)
    {
        Notes = ["Waits until it is done. If the other side is only out of reach, restore the link: 'migrationd migration recover ID'."];
        Examples =
        [
            "migrationd migration resolve ID --resume-here",
            "migrationd migration resolve ID --resume-here --force",
            "migrationd migration resolve ID --give-up",
        ];
        Options.Add(_resumeHere);
        Options.Add(_giveUp);
        Options.Add(_force);
        Validators.Add(result =>
        {
            bool resumeHere = result.GetValue(_resumeHere), giveUp = result.GetValue(_giveUp);
            if (resumeHere == giveUp)
            {
                result.AddError("say one of --resume-here (on the source) and --give-up (on the destination)");
            }
            else if (giveUp && result.GetValue(_force))
            {
                result.AddError("--force belongs to --resume-here");
            }
        });
    }

    protected override Task<Migration> OrderAsync(ParseResult parse, ControlClient client, string id, CancellationToken cancellationToken)
    {
        if (!parse.GetValue(_resumeHere))
        {
            return client.ResolveMigrationAsync(id, Resolution.GiveUp, force: false, cancellationToken);
        }

        // On standard error, where it is seen whatever becomes of the output; with --json that stays a JSON object or empty.
        if (!parse.GetValue(Json))
        {
            Terminal.Error.WriteLine("WARNING: all that the guest did after the switchover is lost; it goes on here as it was then.");
        }

        return client.ResolveMigrationAsync(id, Resolution.ResumeHere, parse.GetValue(_force), cancellationToken);
    }

    protected override string? Outcome(ParseResult parse, Migration migration) => (migration.State, parse.GetValue(_resumeHere)) switch
    {
        (MigrationState.Failed, true) =>
            $"guest {migration.Guest} is back on this host as it was at the switchover; migration {migration.Id} is over",
        (MigrationState.Failed, false) => string.Create(CultureInfo.InvariantCulture,
            $"migration {migration.Id} given up: {migration.PagesLost:N0} of {migration.PagesTotal:N0} pages of guest {migration.Guest} "
            + $"are lost\nsave what is here with 'migrationd guest dump {migration.Guest} FILE', end the guest with "
            + $"'migrationd guest delete {migration.Guest}'"),
        _ => null,
    };
}
