using System.Diagnostics;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Figures;
using MigrationD.Daemon.Json;
using MigrationD.Protocol.V1;
using Spectre.Console;

namespace MigrationD.Daemon.Cli.Views;

/// <summary>Follows a drain: one live view on a terminal, a line for each turn of each guest anywhere else, or JSON.</summary>
/// <param name="tally">Collects the updates.</param>
internal sealed class DrainProgress(DrainTally tally)
{
    private static readonly TimeSpan LongestSilence = TimeSpan.FromSeconds(1);

    private readonly Dictionary<string, (string Turn, long At)> _told = new(StringComparer.Ordinal);
    private readonly HashSet<string> _toldOfPeers = new(StringComparer.Ordinal);

    /// <summary>Shows the drain.</summary>
    public Task ShowAsync(CliConsole console, IAsyncEnumerable<DrainUpdate> updates) =>
        console.CanRedraw ? ShowLiveAsync(console.Ansi, updates) : ShowLinesAsync(console.Out, updates);

    /// <summary>Prints a guest as one line of JSON at each turn, and once a second while it is moving.</summary>
    public async Task StreamAsync(CliConsole console, IAsyncEnumerable<DrainUpdate> updates)
    {
        await foreach (var update in updates)
        {
            tally.Add(update);
            foreach (var guest in update.Guests)
            {
                if (IsNews(guest) || (guest.State == DrainState.Moving && Stopwatch.GetElapsedTime(_told[guest.Name].At) >= LongestSilence))
                {
                    _told[guest.Name] = (Turn(guest), Stopwatch.GetTimestamp());
                    CliJson.WriteLine(console.Out, JsonShapes.Of(guest));
                }
            }

            console.Out.Flush();
        }
    }

    /// <summary>Draws one view and draws it anew at each update; it is gone at the end.</summary>
    internal Task ShowLiveAsync(IAnsiConsole console, IAsyncEnumerable<DrainUpdate> updates)
    {
        var clock = Stopwatch.StartNew();
        return console.Live(new Text("")).AutoClear(true).Overflow(VerticalOverflow.Crop).StartAsync(async live =>
        {
            await foreach (var update in updates)
            {
                tally.Add(update);
                live.UpdateTarget(DrainLiveView.Of(tally, clock.Elapsed, console.Profile.Width));
            }
        });
    }

    /// <summary>Where a guest stands, in a line.</summary>
    internal static string Line(DrainGuest guest)
    {
        var migration = guest.Migration ?? new Migration();
        string reason = guest.Reason.Length > 0 ? $": {guest.Reason}" : "";
        return guest.State switch
        {
            DrainState.Moving => $"{guest.Name}  moving to {migration.Peer} ({migration.Id})  {Words.Of(migration.State)}"
                + (migration.Reason.Length > 0 ? $": {migration.Reason}" : ""),
            DrainState.Moved => $"{guest.Name}  moved to {migration.Peer} ({migration.Id})  {Numbers.Seconds(migration.TotalUs / 1e6)}  "
                + $"downtime {Numbers.Milliseconds(migration.HasDowntimeUs, migration.DowntimeUs)}",
            _ => $"{guest.Name}  {Words.Of(guest.State)}{reason}",
        };
    }

    /// <summary>What makes a line of its own, and not merely another figure.</summary>
    private static string Turn(DrainGuest guest) =>
        $"{guest.State} {guest.Reason} {guest.Migration?.Id} {guest.Migration?.State} {guest.Migration?.Reason}";

    private bool IsNews(DrainGuest guest) => !_told.TryGetValue(guest.Name, out var told) || told.Turn != Turn(guest);

    private async Task ShowLinesAsync(TextWriter output, IAsyncEnumerable<DrainUpdate> updates)
    {
        await foreach (var update in updates)
        {
            tally.Add(update);
            foreach (var peer in update.Peers.Where(peer => peer.Problem.Length > 0 && _toldOfPeers.Add($"{peer.Address} {peer.Problem}")))
            {
                output.WriteLine($"{peer.Address} can have no guests: {peer.Problem}");
            }

            foreach (var guest in update.Guests.Where(IsNews))
            {
                _told[guest.Name] = (Turn(guest), Stopwatch.GetTimestamp());
                output.WriteLine(Line(guest));
            }

            output.Flush();
        }
    }
}
