using MigrationD.Guest.Userfault;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Destination;

/// <summary>What the pages of one kind of lane come to.</summary>
/// <param name="Memory">The memory that they are of.</param>
/// <param name="Path">Which way they come.</param>
/// <param name="AllReceived">Called when every page is here; more than once.</param>
internal sealed record ArrivingPages(IncomingMemory Memory, PagePath Path, Action AllReceived)
{
    /// <summary>Precopy, where they come before the guest, and again; null where they do not.</summary>
    public IncomingPrecopy? Precopy { get; init; }

    /// <summary>How they may be packed.</summary>
    public PageCompression Agreed { get; init; } = PageCompression.None;

    /// <summary>Asked with each report: whether the source is told which blocks are here for good.</summary>
    public Func<bool> Confirms { get; init; } = () => false;
}
