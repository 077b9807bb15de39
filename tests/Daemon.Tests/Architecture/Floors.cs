using System.Text.RegularExpressions;

namespace MigrationD.Daemon.Tests.Architecture;

/// <summary>The floors as docs/architecture.md has them: tables whose rows are floors, the highest first, with the rooms on each.</summary>
internal sealed partial class Floors
{
    private readonly Dictionary<string, int> _floorOf;

    private Floors(Dictionary<string, int> floorOf) => _floorOf = floorOf;

    /// <summary>Every room that a table names, as a namespace.</summary>
    public IReadOnlyCollection<string> Rooms => _floorOf.Keys;

    /// <summary>Reads the tables below the heading <c>Floors</c>.</summary>
    /// <param name="markdown">The document.</param>
    public static Floors Read(string markdown)
    {
        string section = Section().Match(markdown).Value;
        var floorOf = new Dictionary<string, int>(StringComparer.Ordinal);
        int floor = 0;
        foreach (string row in section.Split('\n').Where(line => line.StartsWith("| `", StringComparison.Ordinal)))
        {
            floor--;
            foreach (Match room in Room().Matches(row.Split('|')[1]))
            {
                floorOf.Add($"MigrationD.{room.Groups[1].Value.Replace('/', '.')}", floor);
            }
        }

        return new Floors(floorOf);
    }

    /// <summary>Whether the document lets one room use the other: one on its own floor, or below. Of a room that it lacks it says nothing.</summary>
    public bool Permits(Arrow arrow) =>
        !_floorOf.TryGetValue(arrow.From, out int from) || !_floorOf.TryGetValue(arrow.To, out int to) || from >= to;

    [GeneratedRegex(@"^### Floors$.*?(?=^##)", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Section();

    [GeneratedRegex("`([^`]+)`")]
    private static partial Regex Room();
}
