using MigrationD.Guest.Memory;
using MigrationD.Guest.Userfault;
using MigrationD.Protocol.Grpc;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Destination;

/// <summary>
/// Precopy as its destination sees it. While it goes on, the push lane alone brings pages, and replaces those that come again; when it is
/// over, what went stale is forgotten, and only then the guest is loaded.
/// </summary>
/// <remarks>The push lane's thread notes marks; control calls come after it has noted the last one, which they check.</remarks>
internal sealed class IncomingPrecopy(IncomingMemory memory, string guest)
{
    private volatile uint _marks;
    private volatile bool _over;

    /// <summary>Marks whose pages are all in their places.</summary>
    public uint Marks => _marks;

    /// <summary>Whether every page of precopy has come.</summary>
    public bool IsOver => _over;

    /// <summary>All pages before this mark are in their places.</summary>
    public void Note(PrecopyMark mark)
    {
        if (mark == PrecopyMark.PrecopyEnded)
        {
            _over = true;
        }

        _marks++;
    }

    /// <summary>Throws while pages may still be coming.</summary>
    /// <exception cref="GrpcException">FAILED_PRECONDITION.</exception>
    public void RefuseUnlessOver()
    {
        if (!_over)
        {
            throw new GrpcException(
                GrpcStatusCode.FailedPrecondition,
                $"guest '{guest}' cannot go on here: the source has not said on its push lane that precopy has ended");
        }
    }

    /// <summary>Makes pages missing again that were written on the source after they were sent.</summary>
    /// <exception cref="GrpcException">FAILED_PRECONDITION: pages may still be coming. INVALID_ARGUMENT: there are no such pages.</exception>
    public void Forget(IReadOnlyList<ulong> staleRuns)
    {
        RefuseUnlessOver();
        try
        {
            foreach ((long first, long count) in StaleRuns.Unpack(staleRuns, memory.Memory.PageCount))
            {
                memory.Forget(first, count);
            }
        }
        catch (InvalidDataException error)
        {
            throw new GrpcException(GrpcStatusCode.InvalidArgument, $"guest '{guest}' cannot go on here: {error.Message}", error);
        }
    }
}
