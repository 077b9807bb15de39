using MigrationD.Protocol.Refusals;

namespace MigrationD.Daemon.Destination;

/// <summary>What a source can order on the handover lane, carried out on the lane's own thread.</summary>
internal interface IHandoverTarget
{
    /// <summary>Makes pages missing again that were written on the source after they were sent.</summary>
    /// <exception cref="Refusal">NotNow: it is not the time for it. Invalid: there are no such pages.</exception>
    void Forget(IReadOnlyList<ulong> staleRuns);

    /// <summary>Loads the device state on the calling thread; when it returns, the guest could run now.</summary>
    /// <exception cref="Refusal">
    /// NotNow: it is not the time for it, or the state cannot be loaded and the session is over.
    /// </exception>
    void LoadState(ReadOnlyMemory<byte> state);

    /// <summary>Lets the guest run here. From here on it is this node's.</summary>
    /// <exception cref="Refusal">NotNow: it is not loaded, or given up.</exception>
    void Run();
}
