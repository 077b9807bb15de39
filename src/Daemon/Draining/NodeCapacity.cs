using System.Security.Cryptography;
using MigrationD.Daemon.Destination;
using MigrationD.Daemon.Guests;
using MigrationD.Guest.Machine;
using MigrationD.Protocol.Messages;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Draining;

/// <summary>What this node has room for, for others that look for a destination.</summary>
internal sealed class NodeCapacity(string node, GuestRegistry guests, DestinationSessions incoming)
{
    // Opening a device for each question would be work that anybody could ask for; permissions of a running daemon seldom change.
    private readonly Lazy<bool> _hasKvm = new(() => KvmProbe.Query().IsUsable);

    /// <summary>Random: by it a daemon knows itself.</summary>
    public string Instance { get; } = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8));

    public Capacity Describe() => new()
    {
        Node = node,
        Instance = Instance,
        ProtocolVersions = { ProtocolVersion.Accepted },
        GuestMemoryBytes = (ulong)guests.Budget.Limit,
        GuestMemoryUsedBytes = (ulong)guests.Budget.Used,
        MaxIncoming = (uint)incoming.Limit,
        Incoming = (uint)incoming.Coming,
        Kinds = { _hasKvm.Value ? [GuestKind.Workload, GuestKind.Kvm] : new[] { GuestKind.Workload } },
        Refusal = incoming.IsStopping ? "it is stopping" : guests.IsClosed ? GuestRegistry.ClosedReason : "",
    };
}
