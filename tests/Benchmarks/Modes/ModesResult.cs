using MigrationD.Benchmarks.Migrate;
using MigrationD.Benchmarks.Peers;
using MigrationD.Protocol.V1;

namespace MigrationD.Benchmarks.Modes;

/// <summary>What one way of moving one guest came to.</summary>
/// <param name="Rate">The link's, as tc(8) writes it.</param>
/// <param name="Case">The guest and the way.</param>
/// <param name="Mover">Who moved it.</param>
/// <param name="Run">Medians of what whoever moves a guest can tell.</param>
/// <param name="Ours">Medians of all that the daemons tell; null when they did not move it.</param>
internal sealed record ModesResult(string Rate, MigrationCase Case, string Mover, PeerRun Run, MigrationFigures? Ours)
{
    public bool IsOurs => Ours is not null;

    public string Name => $"{Case.Name}, {Mover}";

    /// <summary>Whether it is this walk moved in this way.</summary>
    public bool Is(string rate, WalkPattern pattern, MigrationMode mode) => Rate == rate && Case.Pattern == pattern && Case.Mode == mode;
}
