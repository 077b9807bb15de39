using System.Net;
using System.Net.Sockets;
using Grpc.Core;
using MigrationD.Daemon.Tests.Services;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Draining;

/// <summary>A real gRPC server on a loopback port that says what a test wants it to have room for, and takes no guests.</summary>
internal sealed class CapacityPeer : Transport.TransportBase, IAsyncDisposable
{
    private LoopbackServer? _server;
    private int _asked;

    private CapacityPeer()
    {
    }

    /// <summary>HOST:PORT.</summary>
    public string Address => _server!.Address;

    /// <summary>What it answers.</summary>
    public Capacity Capacity { get; } = new()
    {
        Node = "peer",
        Instance = "aa",
        ProtocolVersions = { 2, 1 },
        GuestMemoryBytes = 1 << 30,
        GuestMemoryUsedBytes = 1 << 20,
        MaxIncoming = 5,
        Incoming = 2,
        Kinds = { GuestKind.Kvm },
    };

    /// <summary>Answers come when this has ended.</summary>
    public Task Answering { get; set; } = Task.CompletedTask;

    /// <summary>How it refuses to say; null when it says.</summary>
    public Exception? Refusal { get; set; }

    /// <summary>How often it was asked.</summary>
    public int Asked => Volatile.Read(ref _asked);

    public static async Task<CapacityPeer> StartAsync(bool speaksTransport = true)
    {
        var peer = new CapacityPeer();
        peer._server = await LoopbackServer.StartAsync(speaksTransport ? peer : null);
        return peer;
    }

    /// <summary>An address at which nobody listens.</summary>
    public static string Nowhere()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return $"127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}";
    }

    public override async Task<Capacity> GetCapacity(GetCapacityRequest request, ServerCallContext context)
    {
        Interlocked.Increment(ref _asked);
        await Answering.WaitAsync(context.CancellationToken);
        return Refusal is { } refusal ? throw refusal : Capacity;
    }

    public ValueTask DisposeAsync() => _server!.DisposeAsync();
}
