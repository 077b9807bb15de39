using System.Net;
using MigrationD.Protocol.Lanes.Interop;
using MigrationD.Protocol.Lanes.Transport;

namespace MigrationD.Protocol.Tests.Lanes;

/// <summary>Passes everything on, and fails when it is asked by another thread than the one that it was bound to.</summary>
internal sealed class ThreadBoundTransport(LaneTransport inner) : LaneTransport
{
    private Thread? _thread;

    public int Calls { get; private set; }

    public override EndPoint RemoteEndPoint => inner.RemoteEndPoint;

    public void Bind() => _thread = Thread.CurrentThread;

    public override int Receive(Span<byte> into)
    {
        Check();
        return inner.Receive(into);
    }

    public override void Send(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, NativeBuffer third)
    {
        Check();
        inner.Send(first, second, third);
    }

    public override int TrySend(ReadOnlySpan<byte> bytes)
    {
        Check();
        return inner.TrySend(bytes);
    }

    public override Readiness Wait(Readiness wanted, int timeoutMilliseconds)
    {
        Check();
        return inner.Wait(wanted, timeoutMilliseconds);
    }

    public override void ShutdownSend() => inner.ShutdownSend();

    public override void Interrupt() => inner.Interrupt();

    public override void Dispose() => inner.Dispose();

    private void Check()
    {
        Calls++;
        if (Thread.CurrentThread != _thread)
        {
            throw new InvalidOperationException("this came from another thread");
        }
    }
}
