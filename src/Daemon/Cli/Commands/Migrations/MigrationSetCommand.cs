using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Options;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Figures;
using MigrationD.Daemon.Json;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli.Commands.Migrations;

/// <summary>Changes limits of a migration that is under way.</summary>
internal sealed class MigrationSetCommand : ClientCommand
{
    private readonly Argument<string> _id = MigrationCommand.IdArgument();

    private readonly ValueOption<Bandwidth> _bandwidth = ValueOption.Bandwidth(
        "--bandwidth", "How fast to send at most, e.g. 500MiB/s or 1Gbit; 0 lifts the limit");

    private readonly ValueOption<Bandwidth> _postcopyBandwidth = ValueOption.Bandwidth(
        "--postcopy-bandwidth", "How fast to send pages that nobody waits for, after the switchover; 0 lifts the limit");

    private readonly ValueOption<uint> _maxRounds = ValueOption.Count(
        "--max-rounds", MigrationPlanOptions.MostRounds, "Until the switchover: how often to go over memory at most");

    private readonly ValueOption<TimeSpan> _downtimeLimit = ValueOption.Time(
        "--downtime-limit", "In a migration with --mode precopy: how long the guest may stand still for its last pages");

    public MigrationSetCommand(CliConsole console)
        : base("set", "Change limits of a migration that is under way, on its source.", console)
    {
        Notes =
        [
            "What is not named stays as it is. Limits are in force at once, and for the rest of the migration; 'migration show' names "
                + "them.",
        ];
        Examples =
        [
            "migrationd migration set ID --bandwidth 200MiB/s",
            "migrationd migration set ID --postcopy-bandwidth unlimited",
            "migrationd migration set ID --downtime-limit 1s --max-rounds 60",
        ];
        Arguments.Add(_id);
        Options.Add(_bandwidth);
        Options.Add(_postcopyBandwidth);
        Options.Add(_maxRounds);
        Options.Add(_downtimeLimit);
        Validators.Add(result =>
        {
            Option[] limits = [_bandwidth, _postcopyBandwidth, _maxRounds, _downtimeLimit];
            if (limits.All(limit => result.GetResult(limit) is null))
            {
                result.AddError("say what to change: --bandwidth, --postcopy-bandwidth, --max-rounds or --downtime-limit");
            }
        });
    }

    protected override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellationToken)
    {
        var migration = await client.SetMigrationAsync(Request(parse), cancellationToken);
        return Show(
            parse, JsonShapes.Of(migration),
            () => Terminal.Out.WriteLine($"migration {migration.Id}: {MigrationFigures.LimitsLine(migration.Limits)}"));
    }

    private SetMigrationRequest Request(ParseResult parse)
    {
        var request = new SetMigrationRequest { Id = parse.GetRequiredValue(_id) };
        if (parse.GetValue(_bandwidth) is { } bandwidth)
        {
            request.Bandwidth = bandwidth.BytesPerSecond;
        }

        if (parse.GetValue(_postcopyBandwidth) is { } postcopyBandwidth)
        {
            request.PostcopyBandwidth = postcopyBandwidth.BytesPerSecond;
        }

        if (parse.GetValue(_maxRounds) is { } maxRounds)
        {
            request.MaxRounds = maxRounds;
        }

        if (parse.GetValue(_downtimeLimit) is { } downtimeLimit)
        {
            request.DowntimeLimitMs = (uint)downtimeLimit.TotalMilliseconds;
        }

        return request;
    }
}
