namespace MigrationD.Benchmarks.Place;

/// <summary>Units of some size brought to their addresses in one way.</summary>
/// <param name="UnitBytes">How much each call places.</param>
/// <param name="Huge">Whether the staging is of huge pages.</param>
/// <param name="Way">The call.</param>
internal sealed record PlaceCase(int UnitBytes, bool Huge, PlaceWay Way)
{
    public string Unit => $"{Format.Bytes(UnitBytes)}{(Huge ? ", one huge page" : "")}";

    public string Call => Way switch
    {
        PlaceWay.Move => "MOVE",
        PlaceWay.Copy => "COPY",
        PlaceWay.CopyAndDiscard => "COPY, DONTNEED",
        PlaceWay.Remap => "mremap",
        _ => throw new InvalidOperationException($"{Way} is no way"),
    };
}
