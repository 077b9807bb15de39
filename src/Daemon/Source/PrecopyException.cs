namespace MigrationD.Daemon.Source;

/// <summary>Precopy does not come to its end within the limits that it was given; the guest goes on where it is.</summary>
internal sealed class PrecopyException(string why) : Exception(
    $"precopy gives up: {why}. Give it more (--downtime-limit, --max-rounds, --precopy-timeout), let it move the guest all the same "
    + "(--timeout-strategy continue), or let post-copy take over (--mode hybrid)");
