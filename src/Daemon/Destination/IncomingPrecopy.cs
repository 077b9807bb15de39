using MigrationD.Guest.Userfault;
using MigrationD.Protocol.Pages;

namespace MigrationD.Daemon.Destination;

/// <summary>
/// Precopy as its destination sees it. While it goes on, push lanes alone bring pages, and replace those that come again; when it is over
/// on each of them, what went stale is forgotten, and only then the guest is loaded.
/// </summary>
/// <remarks>The push lanes' threads count their ends; control calls come after they have counted the last one, which they check.</remarks>
internal sealed class IncomingPrecopy(IIncomingMemory memory, string guest, int pushLanes)
{
    private int _underWay = pushLanes;

    /// <summary>Whether every page of precopy has come.</summary>
    public bool IsOver => Volatile.Read(ref _underWay) <= 0;

    /// <summary>Counts a push lane that has brought all its pages into their places. Called once by each.</summary>
    public void LaneEnded() => Interlocked.Decrement(ref _underWay);

    /// <summary>Throws while pages may still be coming.</summary>
    /// <exception cref="Refusal">NotNow.</exception>
    public void RefuseUnlessOver()
    {
        if (!IsOver)
        {
            throw new Refusal(
                Because.NotNow,
                $"guest '{guest}' cannot go on here: the source has not said on each of its push lanes that precopy has ended");
        }
    }

    /// <summary>Makes pages missing again that were written on the source after they were sent.</summary>
    /// <exception cref="Refusal">NotNow: pages may still be coming. Invalid: there are no such pages.</exception>
    public void Forget(IReadOnlyList<ulong> staleRuns)
    {
        RefuseUnlessOver();
        try
        {
            foreach ((long first, long count) in RunList.Unpack(staleRuns, memory.Memory.PageCount))
            {
                memory.Forget(first, count);
            }
        }
        catch (InvalidDataException error)
        {
            throw new Refusal(Because.Invalid, $"guest '{guest}' cannot go on here; of its stale pages, {error.Message}", error);
        }
    }
}
