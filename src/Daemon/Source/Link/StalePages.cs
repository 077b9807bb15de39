using MigrationD.Protocol.Pages;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Source.Link;

/// <summary>Pages that were written after they were sent, as messages.</summary>
internal static class StalePages
{
    // Some hundreds of KiB, far below what a message may have.
    private const int RunsInOneMessage = 65536;

    /// <summary>Gives as many messages as it takes; none when nothing is stale.</summary>
    public static IEnumerable<ForgetRequest> Messages(IEnumerable<(long First, long Count)> stale) =>
        stale.Chunk(RunsInOneMessage).Select(some => new ForgetRequest { StaleRuns = { RunList.Pack(some) } });
}
