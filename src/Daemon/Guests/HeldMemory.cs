using MigrationD.Guest.Memory;
using MigrationD.Guest.Userfault;

namespace MigrationD.Daemon.Guests;

/// <summary>Guest memory that stands still while it is read; let go of when disposed.</summary>
internal sealed class HeldMemory(GuestMemory memory, ReceivedPages? present, Action release) : IDisposable
{
    public GuestMemory Memory => memory;

    /// <summary>
    /// The pages that are here; null when all are. <b>Whoever reads another waits for ever</b>: it is missing, and nobody brings it.
    /// </summary>
    public ReceivedPages? Present => present;

    public void Dispose() => release();
}
