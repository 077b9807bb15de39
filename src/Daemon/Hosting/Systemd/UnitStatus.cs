using MigrationD.Daemon.Migrations;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Hosting.Systemd;

/// <summary>Says what the daemon does, in the one line that 'systemctl status' shows.</summary>
internal static class UnitStatus
{
    // The line is for a glance: 'migrationd top' has all of them.
    private const int MostMigrations = 3;

    private static readonly GuestState[] Order = [GuestState.Running, GuestState.Paused, GuestState.Incoming, GuestState.Failed];

    /// <summary>Says for instance "2 guests running; web is on its way to host-b:7461, 63 %".</summary>
    /// <param name="guests">The states of the guests; those that went elsewhere do not count.</param>
    /// <param name="migrations">Migrations; those that have ended are left out.</param>
    public static string Describe(IEnumerable<GuestState> guests, IEnumerable<Migration> migrations)
    {
        Dictionary<GuestState, int> counts = guests.CountBy(state => state).ToDictionary();
        string[] parts = [.. Order.Where(counts.ContainsKey).Select((state, i) => i == 0
            ? $"{counts[state]} {(counts[state] == 1 ? "guest" : "guests")} {Words.Of(state)}"
            : $"{counts[state]} {Words.Of(state)}")];
        Migration[] underWay = [.. migrations.Where(one => !MigrationRecord.IsFinalState(one.State))];
        IEnumerable<string> said = underWay.Take(MostMigrations).Select(Describe);
        if (underWay.Length > MostMigrations)
        {
            said = said.Append($"{underWay.Length - MostMigrations} more migrations");
        }

        return string.Join("; ", said.Prepend(parts.Length == 0 ? "no guests" : string.Join(", ", parts)));
    }

    private static string Describe(Migration migration)
    {
        string way = migration.Role == MigrationRole.Source
            ? $"is on its way to {migration.Peer}"
            : $"comes from {migration.Peer}";
        // Rounded down: 100 % is for when nothing is missing.
        ulong percent = migration.PagesTotal == 0 ? 0 : migration.PagesReceived * 100 / migration.PagesTotal;
        string state = migration.State is MigrationState.PostcopyPaused or MigrationState.PostcopyRecover
            ? $" ({Words.Of(migration.State)})"
            : "";
        return $"{migration.Guest} {way}, {percent} %{state}";
    }
}
