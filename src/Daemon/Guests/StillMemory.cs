using MigrationD.Guest.Memory;
using MigrationD.Guest.Userfault;

namespace MigrationD.Daemon.Guests;

/// <summary>
/// The memory of a guest that stands still, held for a reader: until it is disposed of, nobody runs, moves or deletes the guest.
/// </summary>
internal sealed class StillMemory(GuestMemory memory, ReceivedPages? received, Func<bool> isStill, Action endReading) : IDisposable
{
    private bool _disposed;

    /// <summary>The memory. Only pages that <see cref="IsHere"/> says are here may be read: any other is waited for, for ever.</summary>
    public GuestMemory Memory => memory;

    /// <summary>Whether the guest stands still to this moment: a lost guest goes on when its source comes back after all.</summary>
    public bool IsStill => isStill();

    public bool IsHere(long page) => received is null || received.IsReceived(page);

    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            endReading();
        }
    }
}
