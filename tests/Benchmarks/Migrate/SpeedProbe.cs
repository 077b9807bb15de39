using System.Diagnostics;
using MigrationD.Benchmarks.Report;
using MigrationD.EndToEnd.Tests;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;
using GuestMessage = MigrationD.Protocol.V1.Guest;

namespace MigrationD.Benchmarks.Migrate;

/// <summary>Asks for a guest's steps again and again, on whichever side runs it.</summary>
internal sealed class SpeedProbe(DaemonProcess source, DaemonProcess destination, string guest)
{
    /// <summary>
    /// More often than the intervals that are shown: a KVM guest reports every 50 ms, and the speed is read between the moments at which
    /// its count was seen to change.
    /// </summary>
    public static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(25);

    private const double ShownInterval = 0.1;

    private readonly List<(double Seconds, double Steps)> _changes = [];
    private readonly long _origin = Stopwatch.GetTimestamp();
    private bool _left;

    /// <summary>Calls that the source has answered, and the destination.</summary>
    public (int Source, int Destination) Calls { get; private set; }

    /// <summary>When the source was first seen not to run the guest any more, in seconds of this probe; null while it does.</summary>
    public double? LeftSource { get; private set; }

    /// <summary>Now, in seconds of this probe.</summary>
    public double Now => Stopwatch.GetElapsedTime(_origin).TotalSeconds;

    /// <summary>Asks once.</summary>
    public async Task SampleAsync()
    {
        double asked = Now;
        GuestMessage? now = _left ? await OnDestinationAsync() : await source.GuestAsync(guest);
        double seconds = (asked + Now) / 2;
        Calls = _left ? (Calls.Source, Calls.Destination + 1) : (Calls.Source + 1, Calls.Destination);
        if (now is null)
        {
            return;
        }

        if (!_left && now.State != GuestState.Running)
        {
            _left = true;
            LeftSource = seconds;
        }

        if (_changes.Count == 0 || now.Report.Steps > _changes[^1].Steps)
        {
            _changes.Add((seconds, now.Report.Steps));
        }
    }

    /// <summary>Asks until a moment of this probe's time.</summary>
    public async Task SampleUntilAsync(double seconds)
    {
        while (Now < seconds)
        {
            await SampleAsync();
            await Task.Delay(Interval);
        }
    }

    /// <summary>The speed in each 100 ms, counted from the moment at which the migration started.</summary>
    public IReadOnlyList<SpeedPoint> Points(double migrationStart)
    {
        var points = new List<SpeedPoint>();
        int first = (int)Math.Ceiling((_changes[0].Seconds - migrationStart) / ShownInterval);
        int last = (int)Math.Floor((_changes[^1].Seconds - migrationStart) / ShownInterval);
        int at = 0;
        double before = StepsAt(migrationStart + (first * ShownInterval), ref at);
        for (int i = first + 1; i <= last; i++)
        {
            double steps = StepsAt(migrationStart + (i * ShownInterval), ref at);
            points.Add(new SpeedPoint(Math.Round(i * ShownInterval, 3), (steps - before) / ShownInterval));
            before = steps;
        }

        return points;
    }

    private double StepsAt(double seconds, ref int at)
    {
        while (at + 2 < _changes.Count && _changes[at + 1].Seconds <= seconds)
        {
            at++;
        }

        ((double from, double steps), (double until, double more)) = (_changes[at], _changes[at + 1]);
        return steps + ((more - steps) * (seconds - from) / (until - from));
    }

    private async Task<GuestMessage?> OnDestinationAsync()
    {
        try
        {
            return await destination.GuestAsync(guest);
        }
        catch (Refusal error) when (error.Why == Because.NotFound)
        {
            return null;
        }
    }
}
