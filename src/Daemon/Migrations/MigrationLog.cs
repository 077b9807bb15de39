using System.Diagnostics.CodeAnalysis;

namespace MigrationD.Daemon.Migrations;

/// <summary>The migrations that this node took part in, newest last; the oldest ended ones are forgotten beyond a bound.</summary>
internal sealed class MigrationLog
{
    private const int Kept = 1000;

    private readonly Lock _lock = new();
    private readonly List<MigrationRecord> _records = [];

    /// <summary>Adds a migration. On a node that migrates to itself both roles have the same id; the newest is found first.</summary>
    public void Add(MigrationRecord record)
    {
        lock (_lock)
        {
            _records.Add(record);
            if (_records.Count > Kept && _records.FindIndex(old => old.IsFinal) is >= 0 and int oldest)
            {
                _records.RemoveAt(oldest);
            }
        }
    }

    public IReadOnlyList<MigrationRecord> All()
    {
        lock (_lock)
        {
            return [.. _records];
        }
    }

    public bool TryFind(string id, [NotNullWhen(true)] out MigrationRecord? record)
    {
        lock (_lock)
        {
            record = _records.FindLast(one => one.Id == id);
            return record is not null;
        }
    }
}
