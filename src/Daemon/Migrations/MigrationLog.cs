using System.Diagnostics.CodeAnalysis;

namespace MigrationD.Daemon.Migrations;

/// <summary>The migrations that this node took part in, newest last; the oldest ended ones are forgotten beyond a bound.</summary>
internal sealed class MigrationLog(Action<MigrationRecord>? begun = null)
{
    private const int Kept = 1000;

    // A map has 6 bytes for each block of 2 MiB: 192 KiB for a guest of 64 GiB.
    private const int MapsKept = 50;

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

            foreach (MigrationRecord old in _records.Where(old => old.IsFinal).SkipLast(MapsKept))
            {
                old.ForgetMap();
            }
        }

        begun?.Invoke(record);
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
