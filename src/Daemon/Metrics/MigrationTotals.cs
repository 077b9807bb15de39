using MigrationD.Daemon.Migrations;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Metrics;

/// <summary>What all migrations of this node have come to together since it started, those that it has forgotten included.</summary>
/// <param name="downtimeMeasured">Told the downtime of each guest that was switched over from here.</param>
internal sealed class MigrationTotals(Action<TimeSpan> downtimeMeasured)
{
    private readonly Lock _lock = new();
    private readonly HashSet<Followed> _live = [];
    private readonly Dictionary<(MigrationRole Role, MigrationState State), long> _ended = [];
    private MigrationSums _sums;

    /// <summary>Counts a migration from now on.</summary>
    public void Add(MigrationRecord record)
    {
        var followed = new Followed(record);
        Count(followed);
        record.Entered += () => Count(followed);
    }

    /// <summary>The sums as they are now, with the migrations under way counted as far as they have come.</summary>
    public MigrationSums Sums()
    {
        lock (_lock)
        {
            CountLive();
            return _sums;
        }
    }

    /// <summary>How many migrations are in each state that is not their last.</summary>
    public IReadOnlyDictionary<(MigrationRole Role, MigrationState State), long> UnderWay()
    {
        lock (_lock)
        {
            CountLive();
            return _live.GroupBy(one => (one.Counted.Role, one.Counted.State)).ToDictionary(group => group.Key, group => group.LongCount());
        }
    }

    /// <summary>How many migrations have ended in each way. One that was given up and went on after all has ended twice.</summary>
    public IReadOnlyDictionary<(MigrationRole Role, MigrationState State), long> Ended()
    {
        lock (_lock)
        {
            return new Dictionary<(MigrationRole, MigrationState), long>(_ended);
        }
    }

    private void CountLive() => _live.ToList().ForEach(Count);

    /// <summary>Adds what has been done since this was called last.</summary>
    private void Count(Followed followed)
    {
        lock (_lock)
        {
            Migration before = followed.Counted;
            Migration now = followed.Record.Snapshot();
            followed.Counted = now;
            _sums.Add(before, now);
            if (before.DowntimeUs == 0 && now.DowntimeUs > 0)
            {
                downtimeMeasured(TimeSpan.FromMicroseconds(now.DowntimeUs));
            }

            if (!MigrationRecord.IsFinalState(now.State))
            {
                _live.Add(followed);
            }
            else if (_live.Remove(followed))
            {
                (MigrationRole, MigrationState) end = (now.Role, now.State);
                _ended[end] = _ended.GetValueOrDefault(end) + 1;
            }
        }
    }

    private sealed class Followed(MigrationRecord record)
    {
        public MigrationRecord Record { get; } = record;

        public Migration Counted { get; set; } = new();
    }
}
