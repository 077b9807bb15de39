using MigrationD.Daemon.Figures;
using MigrationD.Protocol.V1;
using Spectre.Console;

namespace MigrationD.Daemon.Cli.Views;

/// <summary>All of a guest's RAM as one bar, by how it came and what is missing.</summary>
internal static class RamBar
{
    /// <summary>The parts in the order of the bar. Each has a character of its own: colours do not reach everybody.</summary>
    public static IReadOnlyList<Part> Of(Migration migration)
    {
        var figures = new TransferFigures(migration);
        return
        [
            new("urgent", '█', Color.Red, figures.Placement.PagesUrgent),
            new("push", '▓', Color.Green, figures.PushedPages),
            new("zero", '▒', Color.Blue, figures.Placement.PagesZero),
            new("resident", '▪', Color.Yellow, figures.OtherResidentPages),
            new("missing", '·', Color.Grey, figures.MissingPages),
        ];
    }

    /// <summary>How many of <paramref name="width"/> cells each part takes: in proportion, and at least one where there is any.</summary>
    /// <returns>As many numbers as parts; their sum is the width, or 0 when all parts are empty.</returns>
    public static IReadOnlyList<int> Cells(IReadOnlyList<ulong> parts, int width)
    {
        var total = parts.Sum(part => (double)part);
        var filled = parts.Count(part => part > 0);
        if (filled == 0)
        {
            return [.. parts.Select(_ => 0)];
        }

        // One each first, as far as there is room; the rest by rounding where each part ends, so that nothing is lost in rounding.
        var least = filled <= width ? 1 : 0;
        var free = width - (least * filled);
        var cells = new int[parts.Count];
        var (soFar, ended) = (0.0, 0);
        for (var i = 0; i < cells.Length; i++)
        {
            soFar += parts[i];
            var end = (int)Math.Round(free * (soFar / total), MidpointRounding.AwayFromZero);
            cells[i] = end - ended + (parts[i] > 0 ? least : 0);
            ended = end;
        }

        return cells;
    }

    /// <summary>Draws the bar in <paramref name="width"/> cells.</summary>
    public static Paragraph Draw(IReadOnlyList<Part> parts, int width)
    {
        var cells = Cells([.. parts.Select(part => part.Pages)], width);
        var bar = new Paragraph();
        foreach (var (part, count) in parts.Zip(cells))
        {
            bar.Append(new string(part.Glyph, count), new Style(part.Colour));
        }

        return bar;
    }

    internal sealed record Part(string Name, char Glyph, Color Colour, ulong Pages);
}
