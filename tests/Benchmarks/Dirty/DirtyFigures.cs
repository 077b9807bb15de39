namespace MigrationD.Benchmarks.Dirty;

/// <summary>
/// What a dirty log cost one guest. Speeds are steps a second; times are milliseconds for each GiB of the guest's memory.
/// </summary>
/// <param name="Speed">Without a log.</param>
/// <param name="ArmedSpeed">From arming on, with no harvest: the first write to every page is a fault, and later ones are not.</param>
/// <param name="HarvestedSpeed">With a harvest in each interval: every page's first write in it is a fault.</param>
/// <param name="SpeedAfter">After the log.</param>
/// <param name="Arm">Arming, while the guest runs.</param>
/// <param name="Harvest">A harvest, while the guest runs; the mean.</param>
/// <param name="LongestHarvest">The longest of them.</param>
/// <param name="LastHarvest">The harvest of the paused guest, which protects nothing.</param>
/// <param name="CleanHarvest">A harvest of a paused guest that has written nothing.</param>
/// <param name="Disarm">Disarming, while the guest runs.</param>
/// <param name="PagesPerHarvest">Pages in a harvest; the mean.</param>
/// <param name="HugeBefore">Share of the guest's memory in huge pages of this process before the log.</param>
/// <param name="HugeArmed">The same after the harvests.</param>
internal sealed record DirtyFigures(
    double Speed,
    double ArmedSpeed,
    double HarvestedSpeed,
    double SpeedAfter,
    double Arm,
    double Harvest,
    double LongestHarvest,
    double LastHarvest,
    double CleanHarvest,
    double Disarm,
    double PagesPerHarvest,
    double HugeBefore,
    double HugeArmed)
{
    public static DirtyFigures MedianOf(IReadOnlyList<DirtyFigures> runs) => new(
        Median.Of(runs.Select(run => run.Speed)),
        Median.Of(runs.Select(run => run.ArmedSpeed)),
        Median.Of(runs.Select(run => run.HarvestedSpeed)),
        Median.Of(runs.Select(run => run.SpeedAfter)),
        Median.Of(runs.Select(run => run.Arm)),
        Median.Of(runs.Select(run => run.Harvest)),
        Median.Of(runs.Select(run => run.LongestHarvest)),
        Median.Of(runs.Select(run => run.LastHarvest)),
        Median.Of(runs.Select(run => run.CleanHarvest)),
        Median.Of(runs.Select(run => run.Disarm)),
        Median.Of(runs.Select(run => run.PagesPerHarvest)),
        Median.Of(runs.Select(run => run.HugeBefore)),
        Median.Of(runs.Select(run => run.HugeArmed)));
}
