namespace MigrationD.Benchmarks.Start;

/// <summary>What one program came to in one round, or the medians of several.</summary>
/// <param name="ReadyQuiet">From its start until a daemon answers, on a machine that does nothing else; milliseconds.</param>
/// <param name="ReadyBusy">The same while all cores are busy.</param>
/// <param name="HealthQuiet">The command <c>health</c>, from its start to its end; milliseconds.</param>
/// <param name="HealthBusy">The same while all cores are busy.</param>
/// <param name="Postcopy">Downtime of the first migration between two fresh daemons, by post-copy; milliseconds.</param>
/// <param name="Hybrid">The same of a hybrid migration.</param>
/// <param name="PostcopyUnrehearsed">As <paramref name="Postcopy"/>, of daemons that have not rehearsed it.</param>
/// <param name="HybridUnrehearsed">As <paramref name="Hybrid"/>, of daemons that have not rehearsed it.</param>
/// <param name="ResidentBytes">Memory of a daemon without guests.</param>
internal sealed record StartFigures(
    double ReadyQuiet, double ReadyBusy, double HealthQuiet, double HealthBusy, double Postcopy, double Hybrid,
    double PostcopyUnrehearsed, double HybridUnrehearsed, double ResidentBytes)
{
    public static StartFigures MedianOf(IReadOnlyList<StartFigures> rounds)
    {
        return new StartFigures(
            Of(one => one.ReadyQuiet), Of(one => one.ReadyBusy), Of(one => one.HealthQuiet), Of(one => one.HealthBusy),
            Of(one => one.Postcopy), Of(one => one.Hybrid), Of(one => one.PostcopyUnrehearsed), Of(one => one.HybridUnrehearsed),
            Of(one => one.ResidentBytes));

        double Of(Func<StartFigures, double> figure) => Median.Of(rounds.Select(figure));
    }
}
