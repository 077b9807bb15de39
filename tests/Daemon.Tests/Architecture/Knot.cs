namespace MigrationD.Daemon.Tests.Architecture;

/// <summary>Rooms that use each other in a circle.</summary>
/// <param name="Rooms">Which.</param>
/// <param name="Arrows">The uses among them.</param>
internal sealed record Knot(IReadOnlyList<string> Rooms, IReadOnlyList<Arrow> Arrows)
{
    // The thinnest arrows first: they are the cheapest to cut.
    public override string ToString() =>
        $"{Rooms.Count} rooms use each other in a circle: {string.Join(", ", Rooms)}{Environment.NewLine}"
        + string.Join(Environment.NewLine, Arrows.OrderBy(arrow => arrow.Uses.Count).Select(arrow => arrow.ToString()));
}
