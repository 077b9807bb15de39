using System.Diagnostics;
using MigrationD.Benchmarks.Report;

namespace MigrationD.Benchmarks.Peers;

/// <summary>Turns what a guest reported, and when, into its speed in each 100 ms.</summary>
internal static class StepTrace
{
    private const double IntervalSeconds = 0.1;

    /// <summary>Speed around a migration. Between two samples the guest is taken to go at one speed.</summary>
    /// <param name="name">Whose.</param>
    /// <param name="samples">When (Stopwatch's ticks) and how many steps had been made; in order of time.</param>
    /// <param name="start">When the migration started: second 0.</param>
    /// <param name="before">Seconds to show before it.</param>
    /// <param name="after">Seconds to show after it.</param>
    public static SpeedSeries Speed(
        string name, IReadOnlyList<(long Time, long Steps)> samples, long start, double before, double after)
    {
        var points = new List<SpeedPoint>();
        if (samples.Count < 2)
        {
            return new SpeedSeries(name, points);
        }

        int at = 0;
        double last = StepsAt(-before);
        for (int i = 1; i <= (int)Math.Round((before + after) / IntervalSeconds); i++)
        {
            double seconds = (i * IntervalSeconds) - before;
            double steps = StepsAt(seconds);
            points.Add(new SpeedPoint(Math.Round(seconds, 3), (steps - last) / IntervalSeconds));
            last = steps;
        }

        return new SpeedSeries(name, points);

        double StepsAt(double seconds)
        {
            long time = start + (long)(seconds * Stopwatch.Frequency);
            while (at + 2 < samples.Count && samples[at + 1].Time < time)
            {
                at++;
            }

            (long Time, long Steps) one = samples[at];
            (long Time, long Steps) next = samples[at + 1];
            double share = Math.Clamp((double)(time - one.Time) / Math.Max(1, next.Time - one.Time), 0, 1);
            return one.Steps + (share * (next.Steps - one.Steps));
        }
    }
}
