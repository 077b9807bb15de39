namespace MigrationD.EndToEnd.Tests.Chaos;

/// <summary>Something bad that happens to a migration from outside.</summary>
/// <param name="Kind">What.</param>
/// <param name="After">How long after the migration was begun.</param>
/// <param name="Lasts">How long until it is made good again; a killed daemon stays dead.</param>
internal sealed record Disturbance(DisturbanceKind Kind, TimeSpan After, TimeSpan Lasts)
{
    public override string ToString() => $"{Kind} after {After.TotalMilliseconds:0} ms for {Lasts.TotalMilliseconds:0} ms";
}
