using System.Diagnostics;
using System.Diagnostics.Metrics;
using Grpc.Core;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Migrations;
using MigrationD.Protocol.V1;
using GuestMessage = MigrationD.Protocol.V1.Guest;

namespace MigrationD.Daemon.Metrics;

/// <summary>
/// Counts and measures what this daemon does, with instruments of the meter <c>migrationd</c>. <see cref="MetricsExport"/> brings the
/// figures to those who want them.
/// </summary>
internal sealed class DaemonMeter : IDisposable
{
    private static readonly double[] FaultLatencyBounds =
    [
        25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
    ];

    private static readonly double[] DowntimeBounds = [5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2.5, 5];

    private static readonly MigrationRole[] Roles = [MigrationRole.Source, MigrationRole.Destination];

    private readonly Histogram<double> _faultLatency;
    private readonly Counter<long> _requests;
    private readonly Counter<long> _lanesRefused;

    public DaemonMeter(string node, GuestRegistry guests, MemoryBudget budget)
    {
        Histogram<double> downtime = Meter.CreateHistogram(
            "migrationd.downtime", "s", "From pausing a guest here until its destination reported it running.", null,
            new InstrumentAdvice<double> { HistogramBucketBoundaries = DowntimeBounds });
        Migrations = new MigrationTotals(time => downtime.Record(time.TotalSeconds));
        _faultLatency = Meter.CreateHistogram(
            "migrationd.fault.latency", "s", "From reading a userfault of an arriving guest until its page was placed.", null,
            new InstrumentAdvice<double> { HistogramBucketBoundaries = FaultLatencyBounds });
        _requests = Meter.CreateCounter<long>(
            "migrationd.requests", "{request}",
            "Requests that were answered, by route and by code: a gRPC status, or an HTTP status where the route is no gRPC method.");
        _lanesRefused = Meter.CreateCounter<long>(
            "migrationd.lanes.refused", "{lane}", "Lanes that were refused, by gRPC status.");
        Meter.CreateObservableGauge(
            "migrationd.info", () => new Measurement<long>(1, new("node", node), new("version", DaemonVersion.Text)), null,
            "Always 1; its labels say which daemon this is.");
        ObserveGuests(guests, budget);
        ObserveMigrations();
    }

    /// <summary>The figures of migrations.</summary>
    public MigrationTotals Migrations { get; }

    /// <summary>The meter that all instruments belong to.</summary>
    public Meter Meter { get; } = new("migrationd", DaemonVersion.Text);

    /// <summary>
    /// Measures a fault: its page has been placed, after so many ticks of <see cref="Stopwatch"/>. Called by the thread that placed it.
    /// </summary>
    public void FaultServed(long ticks) => _faultLatency.Record((double)ticks / Stopwatch.Frequency);

    /// <summary>
    /// Counts a request that has been answered, with a gRPC status or an HTTP status. The route is as it is mapped here, never what a
    /// stranger asked for.
    /// </summary>
    public void RequestAnswered(string route, string code) => _requests.Add(1, new("route", route), new("code", code));

    public void LaneRefused(Because why) => _lanesRefused.Add(1, new KeyValuePair<string, object?>("code", ((StatusCode)why).ToString()));

    public void Dispose() => Meter.Dispose();

    private void ObserveGuests(GuestRegistry guests, MemoryBudget budget)
    {
        Meter.CreateObservableGauge(
            "migrationd.guests",
            () =>
            {
                ILookup<GuestState, GuestMessage> byState = Snapshots(guests).ToLookup(guest => guest.State);
                return Enum.GetValues<GuestState>().Where(state => state != GuestState.Unspecified)
                    .Select(state => Labelled(byState[state].LongCount(), "state", Words.Of(state)));
            },
            "{guest}", "Guests of this node, by state; of those that have migrated away only the record is here.");
        Meter.CreateObservableGauge(
            "migrationd.guest.memory", () => budget.Used, "By", "RAM that the guests of this node have together.");
        Meter.CreateObservableGauge(
            "migrationd.guest.memory.limit", () => budget.Limit, "By", "RAM that the guests of this node may have together.");
        Meter.CreateObservableGauge(
            "migrationd.guest.pages.corrupt", () => Snapshots(guests).Sum(guest => (long)guest.Report.CorruptPages), "{page}",
            "Pages that guests of this node found with a wrong content. Anything but 0 is a bug of a host.");
    }

    private static Measurement<long> Labelled(long value, string label, string word) =>
        new(value, new KeyValuePair<string, object?>(label, word));

    private static IEnumerable<GuestMessage> Snapshots(GuestRegistry guests) => guests.All().Select(guest => guest.Snapshot());

    private void ObserveMigrations()
    {
        Meter.CreateObservableGauge(
            "migrationd.migrations", () => ByRoleAndState(Migrations.UnderWay(), isFinal: false), "{migration}",
            "Migrations under way, by the role of this node and by state.");
        Meter.CreateObservableCounter(
            "migrationd.migrations.ended", () => ByRoleAndState(Migrations.Ended(), isFinal: true), "{migration}",
            "Migrations that have ended, by the role of this node and by how they ended.");
        Meter.CreateObservableCounter(
            "migrationd.pages.received",
            () =>
            {
                MigrationSums sums = Migrations.Sums();
                return new[]
                {
                    Labelled(sums.PagesUrgent, "path", "urgent"), Labelled(sums.PagesPush, "path", "push"),
                    Labelled(sums.PagesZero, "path", "zero"), Labelled(sums.PagesRedundant, "path", "redundant"),
                };
            },
            "{page}",
            "Pages of 4096 bytes that came to this node: asked for, pushed, as zeros without content, or once more and dropped.");
        Meter.CreateObservableGauge(
            "migrationd.pages.lost", () => Migrations.Sums().PagesLost, "{page}",
            "Pages that were lost with their source. Fewer again when a source that was given up comes back.");
        Meter.CreateObservableCounter(
            "migrationd.lanes.sent", () => Migrations.Sums().BytesSent, "By", "Bytes sent on lanes from this node, framing included.");
        Meter.CreateObservableCounter(
            "migrationd.lanes.received", () => Migrations.Sums().BytesReceived, "By",
            "Bytes received on lanes by this node, framing included.");
        Meter.CreateObservableCounter(
            "migrationd.recoveries",
            () =>
            {
                MigrationSums sums = Migrations.Sums();
                return new[]
                {
                    Labelled(sums.RecoveriesAsSource, "role", Words.Of(MigrationRole.Source)),
                    Labelled(sums.RecoveriesAsDestination, "role", Words.Of(MigrationRole.Destination)),
                };
            },
            "{recovery}", "Times that a lost link was restored.");
    }

    // What there is none of is counted as 0, so that a series does not begin with its first event.
    private static IEnumerable<Measurement<long>> ByRoleAndState(
        IReadOnlyDictionary<(MigrationRole Role, MigrationState State), long> counts, bool isFinal) =>
        from role in Roles
        from state in Enum.GetValues<MigrationState>()
        where state != MigrationState.Unspecified && MigrationRecord.IsFinalState(state) == isFinal
        select new Measurement<long>(
            counts.GetValueOrDefault((role, state)), new("role", Words.Of(role)), new("state", Words.Of(state)));
}
