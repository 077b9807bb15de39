using MigrationD.Benchmarks.Report;

namespace MigrationD.Benchmarks.Peers;

/// <summary>What a migration cost its guest, seen from outside: the same for every hypervisor, whatever it counts itself.</summary>
internal static class SpeedShares
{
    private const double IntervalMilliseconds = 100;

    // The interval in which the last page came, and the one after it. What is later is the machine's own unrest.
    private const double SecondsAfterLastPage = 0.2;

    /// <summary>
    /// How much time the guest would have needed, at its speed before, for the steps that it did not make: 500 ms is half a second at a
    /// stand, or a second at half speed.
    /// </summary>
    /// <param name="speed">Speed in each 100 ms.</param>
    public static double LostMilliseconds(SpeedSeries speed)
    {
        double before = speed.Before();
        double until = speed.Completed!.Value + SecondsAfterLastPage;
        return speed.Points.Where(point => point.Seconds > 0 && point.Seconds <= until)
            .Sum(point => (1 - (point.StepsPerSecond / before)) * IntervalMilliseconds);
    }
}
