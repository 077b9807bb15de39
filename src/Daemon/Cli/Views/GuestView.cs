using MigrationD.Protocol.V1;
using Spectre.Console;

namespace MigrationD.Daemon.Cli.Views;

/// <summary>Guests for people.</summary>
internal static class GuestView
{
    /// <summary>Writes a line for each guest.</summary>
    public static void WriteList(IAnsiConsole console, IReadOnlyList<Protocol.V1.Guest> guests)
    {
        var table = PlainTable.Of("NAME", "KIND", "STATE", "MEMORY", "VCPUS", "STEPS", "CORRUPT");
        foreach (var guest in guests)
        {
            table.AddRow(
                new Text(guest.Spec.Name),
                new Text(Words.Of(guest.Spec.Kind)),
                new Text(Words.Of(guest.State)),
                new Text(new ByteSize((long)guest.Spec.MemoryBytes).ToString()),
                new Text(Numbers.Number(guest.Spec.Vcpus)),
                new Text(Numbers.Number(guest.Report?.Steps ?? 0)),
                new Text(Numbers.Number(guest.Report?.CorruptPages ?? 0)));
        }

        console.Write(table);
    }

    /// <summary>Writes everything about one guest.</summary>
    public static void Write(IAnsiConsole console, Protocol.V1.Guest guest)
    {
        var report = guest.Report ?? new GuestReport();
        FieldView.Write(console,
        [
            ("name", guest.Spec.Name),
            ("kind", Words.Of(guest.Spec.Kind)),
            ("state", Words.Of(guest.State)),
            ("failure", guest.Failure),
            ("migration", guest.MigrationId),
            ("memory", new ByteSize((long)guest.Spec.MemoryBytes).ToString()),
            ("vcpus", Numbers.Number(guest.Spec.Vcpus)),
            ("working set", $"{new ByteSize((long)guest.Spec.WorkingSetBytes)}, {Words.Of(guest.Spec.Pattern)}, "
                + $"{Words.Of(guest.Spec.Content)} content"),
            ("steps", Numbers.Number(report.Steps)),
            ("sweeps", Numbers.Number(report.Sweeps)),
            ("corrupt pages", Numbers.Number(report.CorruptPages)),
            ("largest gap", string.Create(CultureInfo.InvariantCulture, $"{report.LargestGapUs / 1000.0:0.0} ms")),
        ]);
    }
}
