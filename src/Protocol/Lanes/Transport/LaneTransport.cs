using MigrationD.Protocol.Lanes.Interop;

namespace MigrationD.Protocol.Lanes.Transport;

/// <summary>
/// The byte stream under a lane. One thread receives and one sends at a time (the lane sees to it); <see cref="Interrupt"/> may come
/// from any thread. Failures are <see cref="LaneException"/>s that say what the system reported.
/// </summary>
internal abstract class LaneTransport : IDisposable
{
    /// <summary>The peer's address.</summary>
    public abstract EndPoint RemoteEndPoint { get; }

    /// <summary>
    /// Makes the stream ready, before anything else is asked of it but <see cref="Interrupt"/> and what ends it. Fails when it is not
    /// ready at <paramref name="deadline"/>, as Environment.TickCount64 counts.
    /// </summary>
    public virtual void Open(long deadline)
    {
    }

    /// <summary>Waits for bytes and takes what is there, at least one; 0 when the peer has closed its side.</summary>
    public abstract int Receive(Span<byte> into);

    /// <summary>Sends all parts, in this order, and waits until the system has taken them.</summary>
    public abstract void Send(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second = default, NativeBuffer third = default);

    /// <summary>Sends what the system takes without waiting. Returns how many bytes those were.</summary>
    public abstract int TrySend(ReadOnlySpan<byte> bytes);

    /// <summary>
    /// Waits until one of <paramref name="wanted"/> is possible; None when the time is over (-1: no limit, in milliseconds).
    /// </summary>
    public abstract Readiness Wait(Readiness wanted, int timeoutMilliseconds);

    /// <summary>Says that nothing more will be sent; a thread that waits in <see cref="Send"/> fails at once.</summary>
    public abstract void ShutdownSend();

    /// <summary>Makes every thread that waits in here fail or return at once, now and from now on.</summary>
    public abstract void Interrupt();

    /// <summary>Closes the connection.</summary>
    public abstract void Dispose();

    /// <summary>Milliseconds until a deadline, as Environment.TickCount64 counts; -1 when that is long.MaxValue, for none.</summary>
    internal static int Left(long deadline) =>
        deadline == long.MaxValue ? -1 : (int)Math.Clamp(deadline - Environment.TickCount64, 0, int.MaxValue);

    protected static LaneException ClosedHere(ObjectDisposedException error) =>
        new(LaneFailure.Aborted, "the connection was closed on this side", error);
}

/// <summary>A deadline has passed in the stream under TLS, where a read or a write has no other way to come back without bytes.</summary>
internal sealed class WaitOverException() : Exception("the deadline has passed");
