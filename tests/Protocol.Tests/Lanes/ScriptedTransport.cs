using System.Net;
using System.Runtime.InteropServices;
using MigrationD.Protocol.Lanes.Interop;
using MigrationD.Protocol.Lanes.Transport;

namespace MigrationD.Protocol.Tests.Lanes;

/// <summary>
/// A transport whose peer has said all it will say: gives those bytes in pieces as small as the test wants, then the end.
/// </summary>
internal sealed class ScriptedTransport(byte[] incoming, Func<int> nextPiece) : LaneTransport
{
    private readonly List<byte> _sent = [];
    private int _position;

    public override EndPoint RemoteEndPoint { get; } = new IPEndPoint(IPAddress.Loopback, 1);

    public ReadOnlySpan<byte> Sent => CollectionsMarshal.AsSpan(_sent);

    /// <summary>The largest buffer that was offered for bytes.</summary>
    public int LargestReceive { get; private set; }

    public override int Receive(Span<byte> into)
    {
        LargestReceive = Math.Max(LargestReceive, into.Length);
        int part = Math.Min(Math.Clamp(nextPiece(), 1, into.Length), incoming.Length - _position);
        incoming.AsSpan(_position, part).CopyTo(into);
        _position += part;
        return part;
    }

    public override unsafe void Send(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, NativeBuffer third)
    {
        _sent.AddRange(first);
        _sent.AddRange(second);
        _sent.AddRange(new ReadOnlySpan<byte>((void*)third.Address, third.Length));
    }

    public override int TrySend(ReadOnlySpan<byte> bytes)
    {
        _sent.AddRange(bytes);
        return bytes.Length;
    }

    public override Readiness Wait(Readiness wanted, int timeoutMilliseconds) => wanted;

    public override void ShutdownSend()
    {
    }

    public override void Interrupt()
    {
    }

    public override void Dispose()
    {
    }
}
