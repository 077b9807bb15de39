using MigrationD.Protocol.V1;

namespace MigrationD.EndToEnd.Tests.Limits;

/// <summary>Whether a migration is over.</summary>
internal static class MigrationEnd
{
    /// <summary>Whether it is, however it ended.</summary>
    public static bool IsEnded(this Migration migration) =>
        migration.State is MigrationState.Completed or MigrationState.Failed or MigrationState.Cancelled;
}
