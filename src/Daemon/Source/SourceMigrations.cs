using System.Collections.Concurrent;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Migrations;

namespace MigrationD.Daemon.Source;

/// <summary>
/// The migrations away from this node that are under way: begun here, found here for orders, and waited for when the daemon stops.
/// </summary>
internal sealed class SourceMigrations(SourceNode node)
{
    private readonly ConcurrentDictionary<string, (SourceMigration Migration, Task Ended)> _running = new(StringComparer.Ordinal);
    private volatile bool _stopping;

    /// <exception cref="Refusal">The guest cannot be migrated now.</exception>
    public MigrationRecord Begin(HostedGuest guest, MigrationPlan plan, CancellationToken shutdown)
    {
        if (_stopping)
        {
            throw new Refusal(Because.Unreachable, $"migrate guest '{guest.Name}': this daemon is stopping");
        }

        SourceMigration migration = SourceMigration.Begin(node, guest, plan, out MigrationRecord record);
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Task ended = Task.Run(
            async () =>
            {
                await begun.Task.ConfigureAwait(false);
                await migration.RunAsync(shutdown).ConfigureAwait(false);
                _running.TryRemove(record.Id, out _);
            },
            CancellationToken.None);
        _running[record.Id] = (migration, ended);
        begun.SetResult();
        return record;
    }

    /// <summary>Finds a migration that is under way.</summary>
    /// <exception cref="Refusal">NotFound, or NotNow when it has ended or this node is its destination.</exception>
    public SourceMigration Find(string id, string what)
    {
        if (_running.TryGetValue(id, out (SourceMigration Migration, Task Ended) entry))
        {
            return entry.Migration;
        }

        throw node.Migrations.TryFind(id, out MigrationRecord? record)
            ? new Refusal(
                Because.NotNow,
                record.IsFinal
                    ? $"{what} migration {id} of guest '{record.Guest}': it has ended; see: migrationd migration show {id}"
                    : $"{what} migration {id} of guest '{record.Guest}': this node is its destination; say it to the daemon of its source")
            : new Refusal(Because.NotFound, $"there is no migration '{id}' on this node; see: migrationd migration list");
    }

    /// <summary>Begins no migration any more, those that wait for their turn included, and waits for those under way.</summary>
    public async Task FinishAsync(CancellationToken cancellationToken)
    {
        _stopping = true;
        node.Queue.Close();
        await Task.WhenAll(_running.Values.Select(entry => entry.Ended)).WaitAsync(cancellationToken)
            .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }
}
