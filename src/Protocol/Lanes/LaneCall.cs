using MigrationD.Protocol.Lanes.Http2;
using MigrationD.Protocol.Lanes.Transport;

namespace MigrationD.Protocol.Lanes;

/// <summary>
/// One gRPC streaming call that has an HTTP/2 connection to itself: the same type on both ends. Everything in it blocks and
/// runs on the caller's thread; nothing is allocated for a message.
/// </summary>
/// <remarks>
/// Full duplex. One thread reads, any number of threads write (a message at a time, serialized by a lock), and <see cref="Abort"/> may
/// come from any thread. A peer whose windows are small makes writers wait for its updates. Those are received by the thread that is
/// reading; while nobody reads, by the waiting writer itself, but only up to the next message of the peer, which is left to the reader. So
/// a call whose peer talks while it is being sent much needs a reading thread.
/// </remarks>
public sealed partial class LaneCall : IDisposable
{
    private readonly LaneTransport _transport;
    private readonly LaneOptions _options;
    private readonly bool _isServer;
    private readonly ReceiveBuffer _receive;
    private readonly HpackDecoder _decoder;
    private readonly HeaderBlockReader _headerBlocks;
    private readonly SendWindows _windows = new();
    private readonly ControlQueue _control = new();
    private readonly FrameBudget _budget = new();
    private readonly ReceiveWindow _connectionWindow = new();
    private readonly ReceiveWindow _streamWindow = new();

    // Taken in this order: a message, then a frame of it. _reading is never held while waiting for one of the others.
    private readonly Lock _message = new();
    private readonly object _sending = new();
    private readonly object _reading = new();

    private int _streamId;
    private LaneException? _failure;
    private int _disposed;

    private LaneCall(LaneTransport transport, LaneOptions options, bool isServer)
    {
        _transport = transport;
        _options = options;
        _isServer = isServer;
        _receive = new ReceiveBuffer(transport, BeforeReceive);
        _decoder = new HpackDecoder(options.MaxHeaderListBytes);
        _headerBlocks = new HeaderBlockReader(_receive, _decoder, options.MaxHeaderListBytes);
    }

    /// <summary>The method, e.g. <c>/migrationd.v1.PageLanes/Push</c>.</summary>
    public string Path { get; private set; } = "";

    /// <summary>
    /// What the peer sent in front of its messages: the client's request metadata on a server, the response metadata on a client. Names
    /// are lower case; values of names that end in <c>-bin</c> are base64 as they came.
    /// </summary>
    public IReadOnlyDictionary<string, string> Metadata { get; private set; } = new Dictionary<string, string>();

    /// <summary>The peer's address.</summary>
    public EndPoint RemoteEndPoint => _transport.RemoteEndPoint;

    /// <summary>How many bytes have been sent on this connection so far, framing included.</summary>
    public long BytesWritten => Volatile.Read(ref _sent);

    /// <summary>How many bytes have been received on this connection so far, framing included.</summary>
    public long BytesRead => _receive.Received;

    /// <summary>How many bytes of the current message have not been read.</summary>
    public int MessageRemaining { get; private set; }

    /// <summary>
    /// Gives the call up: the peer is told as far as that goes without waiting, the connection ends, and every thread in a read or a
    /// write fails at once with a <see cref="LaneException"/> that carries <paramref name="reason"/>. Any thread may call it, any number
    /// of times.
    /// </summary>
    public void Abort(string reason)
    {
        Fail(LaneFailure.Aborted, reason, null, Goodbye.Cancel(_streamId));
        _transport.Interrupt();
    }

    /// <summary>
    /// Closes the connection. A call that is not over is given up, as by <see cref="Abort"/>. After a failure that the peer has
    /// caused, waits a moment (see <see cref="LaneOptions.LingerTimeout"/>) so that it can read why.
    /// </summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        if (Volatile.Read(ref _lingers))
        {
            LingerOver(_receive.Discard);
        }

        bool over = _remoteEnded && _writingEnded;
        Fail(LaneFailure.Aborted, "the call has been disposed of", null, over ? Goodbye.Close(_streamId) : Goodbye.Cancel(_streamId));
        _transport.Interrupt();
        _transport.Dispose();
    }
}
