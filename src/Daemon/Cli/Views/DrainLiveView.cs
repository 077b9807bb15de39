using MigrationD.Daemon.Figures;
using MigrationD.Protocol.V1;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace MigrationD.Daemon.Cli.Views;

/// <summary>A drain under way as one view of a terminal: a line for each guest that is moving, what holds others up, and the sum.</summary>
internal static class DrainLiveView
{
    private const int ColumnsBesidesBar = 100;
    private const int NarrowestBar = 8;
    private const int WidestBar = 40;
    private const int NotesShown = 8;

    /// <summary>The view of what is known.</summary>
    /// <param name="tally">The drain.</param>
    /// <param name="time">Since it began.</param>
    /// <param name="width">Columns of the terminal.</param>
    public static IRenderable Of(DrainTally tally, TimeSpan time, int width) => new Rows(
    [
        Moving(tally, Math.Clamp(width - ColumnsBesidesBar, NarrowestBar, WidestBar)),
        .. Notes(tally).Take(NotesShown),
        new Text(Sum(tally, time), new Style(decoration: Decoration.Bold)),
    ]);

    /// <summary>How far the whole of it is, in one line.</summary>
    internal static string Sum(DrainTally tally, TimeSpan time)
    {
        int all = tally.Guests.Count(guest => guest.State != DrainState.Gone);
        return $"moved {tally.In(DrainState.Moved).Count()} of {all} guests, "
            + $"{Numbers.Bytes(tally.MovedBytes)} of {Numbers.Bytes(tally.TotalBytes)}"
            + Count(tally.Moving, "under way") + Count(tally.In(DrainState.Waiting), "waiting")
            + Count(tally.In(DrainState.Stayed), "stayed") + $"  {Numbers.Megabits(tally.BytesPerSecond * 8 / 1e6)}"
            + $"  {Numbers.Seconds(time.TotalSeconds)}  ETA {Numbers.Duration(tally.TimeRemaining)}";
    }

    private static string Count(IEnumerable<DrainGuest> guests, string what) =>
        guests.Count() is > 0 and var count ? $", {count} {what}" : "";

    private static IRenderable Moving(DrainTally tally, int barCells)
    {
        var table = PlainTable.Of("GUEST", "TO", "STATE", "RAM", "", "RATE", "ETA", "DOWNTIME");
        foreach (var guest in tally.Moving)
        {
            var migration = guest.Migration ?? new Migration();
            var figures = new TransferFigures(migration);
            table.AddRow(
                new Text(guest.Name),
                new Text(migration.Peer),
                new Text(Words.Of(migration.State), new Style(IsHeldUp(guest) ? Color.Yellow : Color.Default)),
                RamBar.Draw(RamBar.Of(migration), barCells),
                new Text(Numbers.Percent(figures.Fraction)),
                new Text(Numbers.Megabits(figures.MegabitsPerSecond)),
                new Text(Numbers.Duration(figures.TimeRemaining)),
                new Text(Numbers.Milliseconds(migration.HasDowntimeUs, migration.DowntimeUs)));
        }

        return table;
    }

    private static IEnumerable<IRenderable> Notes(DrainTally tally) =>
    [
        .. tally.Moving.Where(IsHeldUp).Select(guest => Note($"{guest.Name} stands still: {guest.Migration.Reason}", Color.Yellow)),
        .. tally.In(DrainState.Stayed).Select(guest => Note($"{guest.Name} stayed: {guest.Reason}", Color.Red)),
        .. tally.Peers.Where(peer => peer.Problem.Length > 0).Select(peer => Note($"{peer.Address}: {peer.Problem}", Color.Grey)),
        .. tally.In(DrainState.Waiting).Where(guest => guest.Reason.Length > 0)
            .Select(guest => Note($"{guest.Name} waits: {guest.Reason}", Color.Default)),
    ];

    private static bool IsHeldUp(DrainGuest guest) =>
        guest.Migration is { State: MigrationState.PostcopyPaused or MigrationState.PostcopyRecover, Reason.Length: > 0 };

    private static Text Note(string text, Color colour) => new(text, new Style(colour)) { Overflow = Overflow.Ellipsis };
}
