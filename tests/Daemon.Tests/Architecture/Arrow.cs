namespace MigrationD.Daemon.Tests.Architecture;

/// <summary>A room uses another: types of one namespace are named, or their members used, in files of the other.</summary>
/// <param name="From">The namespace that uses.</param>
/// <param name="To">The namespace that is used.</param>
/// <param name="Uses">Each file with what it uses, as <c>src/Daemon/Source/SourceLanes.cs: PushSender</c>; sorted.</param>
internal sealed record Arrow(string From, string To, IReadOnlyList<string> Uses)
{
    public override string ToString() =>
        $"{From} -> {To}{string.Concat(Uses.Select(use => $"{Environment.NewLine}    {use}"))}";
}
