using System.CommandLine;
using System.Diagnostics;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Options;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Cli.Views;
using MigrationD.Daemon.Figures;
using MigrationD.Daemon.Json;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Options;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli.Commands;

/// <summary>Moves every guest of a daemon to its peers.</summary>
internal sealed class DrainCommand : ClientCommand
{
    private const uint DefaultParallel = 2;
    private const uint MostParallel = 100;

    // How long the daemon is asked, after Ctrl-C, what goes on without this command.
    private static readonly TimeSpan FarewellDeadline = TimeSpan.FromSeconds(5);

    private readonly Option<string[]> _to = new("--to")
    {
        Description = "Control addresses of the daemons that may have the guests; several with spaces between them, or --to again "
            + $"[default: the daemon's {DaemonOptionKey.Peers.Flag}].",
        HelpName = "HOST:PORT",
        AllowMultipleArgumentsPerToken = true,
    };

    private readonly ValueOption<uint> _parallel = ValueOption.Count(
        "--parallel", MostParallel, $"How many guests are on their way at a time, from 1 to {MostParallel} [default: {DefaultParallel}].");

    private readonly MigrationPlanOptions _plan;

    public DrainCommand(CliConsole console)
        : base("drain", "Empty the host: move every guest of the daemon to its peers, and take in no more.", console)
    {
        Notes =
        [
            "The largest guest goes first, each to the peer with the most free memory that takes it; when one refuses or fails, the next",
            "one has its turn. Paused guests are moved too, and stay paused. Guests that failed are not moved, and count as stayed.",
            "From the first moment on the daemon takes in no guests, neither new ones nor those of other hosts, also when the drain is",
            "over or was interrupted: until 'migrationd undrain', or until the daemon is started anew. What is on its way in still",
            "arrives, and is then moved.",
            "The exit code is 0 only when no guest stayed; otherwise each that did is named with the reason. A guest whose link is lost",
            "(postcopy-paused) holds up no other, and is waited for, as 'migrate' does.",
            "Ctrl-C: no more guests are moved; the migrations under way go on. A drain that was interrupted goes on when this is run",
            "again: it follows what is under way and moves what is left.",
            "With --json: one JSON object a line for a guest whenever it stands elsewhere, and once a second while it is moving; in the",
            "end a summary, which has a 'verdict'.",
        ];
        Examples =
        [
            "migrationd drain",
            "migrationd drain --to 10.0.0.6:7461 10.0.0.7:7461",
            "migrationd drain --parallel 4 --mode postcopy",
            "migrationd drain --json",
        ];
        _to.Validators.Add(PeerAddress.Check);
        Options.Add(_to);
        Options.Add(_parallel);
        _plan = new MigrationPlanOptions(this);
    }

    protected override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellationToken)
    {
        var json = parse.GetValue(Json);
        var request = new DrainRequest
        {
            To = { parse.GetValue(_to) ?? [] },
            Parallel = parse.GetValue(_parallel) ?? DefaultParallel,
            Plan = _plan.Read(parse, "", ""),
        };
        var node = await client.GetNodeAsync(cancellationToken);
        var tally = new DrainTally();
        var progress = new DrainProgress(tally);
        var clock = Stopwatch.StartNew();
        try
        {
            var updates = client.DrainAsync(request, cancellationToken);
            await (json ? progress.StreamAsync(Terminal, updates) : progress.ShowAsync(Terminal, updates));
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            throw new CliException(ExitCode.Interrupted, "interrupted", await FarewellAsync(client));
        }

        return Conclude(node.Name, tally, clock.Elapsed, json);
    }

    private static async Task<string> FarewellAsync(ControlClient client)
    {
        const string Advice = "The daemon takes in no guests until 'migrationd undrain'; go on with 'migrationd drain'.";
        try
        {
            using var deadline = new CancellationTokenSource(FarewellDeadline);
            var underWay = (await client.ListMigrationsAsync(deadline.Token))
                .Where(one => one.Role == MigrationRole.Source && !MigrationRecord.IsFinalState(one.State))
                .Select(one => $"{one.Guest} ({one.Id} to {one.Peer})")
                .ToArray();
            return underWay.Length == 0
                ? $"stopped: no more guests are moved, and none is under way. {Advice}"
                : $"stopped: no more guests are moved; under way, and going on: {string.Join(", ", underWay)}. {Advice}";
        }
        catch (Exception error) when (error is CliException or OperationCanceledException)
        {
            return $"stopped: no more guests are moved; those under way go on: 'migrationd migration list'. {Advice}";
        }
    }

    private int Conclude(string node, DrainTally tally, TimeSpan time, bool json)
    {
        DrainGuest[] stayed = [.. tally.In(DrainState.Stayed)];
        if (json)
        {
            CliJson.WriteLine(Terminal.Out, JsonShapes.Of(tally, time));
        }
        else
        {
            if (Terminal.CanRedraw)
            {
                foreach (var guest in tally.Guests)
                {
                    Terminal.Out.WriteLine(DrainProgress.Line(guest));
                }
            }

            int moved = tally.In(DrainState.Moved).Count();
            Terminal.Out.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"moved {moved} of {moved + stayed.Length} guests of {node}, {Numbers.Bytes(tally.MovedBytes)}, "
                + $"in {time.TotalSeconds:0.0} s; it takes in no more until 'migrationd undrain'"));
        }

        return stayed.Length == 0 ? ExitCode.Ok : throw new CliException(ExitCode.Failed, "guests-stayed",
            $"{stayed.Length} {(stayed.Length == 1 ? "guest" : "guests")} stayed on {node}:"
            + string.Concat(stayed.Select(guest => $"\n  {guest.Name}: {guest.Reason}")));
    }
}
