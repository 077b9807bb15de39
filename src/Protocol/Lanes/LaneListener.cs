using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.Lanes.Transport;

namespace MigrationD.Protocol.Lanes;

/// <summary>
/// Takes lanes. One thread accepts connections, and each has a thread of its own that greets the client and then serves its call; whatever
/// one of them does or suffers, the others go on.
/// </summary>
public sealed partial class LaneListener : IDisposable
{
    private static readonly TimeSpan PauseAfterFailure = TimeSpan.FromMilliseconds(100);

    private readonly Socket _socket;
    private readonly LaneOptions _options;
    private readonly Func<PeerTls?> _tls;
    private readonly Action<LaneCall> _serve;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _closing = new();
    private readonly Lock _gate = new();
    private readonly HashSet<Lane> _lanes = [];
    private readonly Thread _acceptThread;
    private int _accepted;
    private bool _started;

    /// <summary>Binds; connections are taken from <see cref="Start"/> on.</summary>
    /// <param name="endPoint">Where to listen; port 0 takes a free one.</param>
    /// <param name="options">Limits and deadlines.</param>
    /// <param name="serve">
    /// Serves one call on the lane's own thread. It looks at the path and the metadata, and accepts or finishes the call. When it returns,
    /// a call that it has not finished ends with OK; when it throws, with the status of a <see cref="Refusal"/> or with INTERNAL.
    /// </param>
    /// <param name="logger">Receives what goes wrong with a peer.</param>
    /// <param name="tls">
    /// Gives each connection its TLS, because certificates can change while lanes are served; null for that of the options.
    /// </param>
    /// <exception cref="SocketException">The address cannot be bound.</exception>
    public LaneListener(IPEndPoint endPoint, LaneOptions options, Action<LaneCall> serve, ILogger logger, Func<PeerTls?>? tls = null)
    {
        options.Validate();
        _options = options;
        _tls = tls ?? (() => options.Tls);
        _serve = serve;
        _logger = logger;
        _socket = new Socket(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            SocketLaneTransport.SizeBuffers(_socket, options);
            _socket.Bind(endPoint);
            _socket.Listen();
            LocalEndPoint = (IPEndPoint)_socket.LocalEndPoint!;
        }
        catch
        {
            _socket.Dispose();
            throw;
        }

        _acceptThread = new Thread(AcceptLoop) { IsBackground = true, Name = $"{options.ThreadName} accept" };
    }

    /// <summary>Where it listens, with the port that it got.</summary>
    public IPEndPoint LocalEndPoint { get; }

    /// <summary>Begins to take connections.</summary>
    /// <exception cref="InvalidOperationException">It has been started before.</exception>
    public void Start()
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_closing.IsCancellationRequested, this);
            if (_started)
            {
                throw new InvalidOperationException("the listener has been started before");
            }

            _started = true;
            _acceptThread.Start();
        }

        LaneLog.Listening(_logger, LocalEndPoint);
    }

    /// <summary>Stops listening, aborts the calls that are open, and waits for their threads as long as a handshake may take.</summary>
    public void Dispose()
    {
        Lane[] open;
        lock (_gate)
        {
            if (_closing.IsCancellationRequested)
            {
                return;
            }

            // Nobody may register with this: what is called back would hold the gate up.
            _closing.Cancel();
            open = [.. _lanes];
        }

        _socket.Dispose();
        foreach (Lane lane in open)
        {
            lane.Abort();
        }

        long deadline = Environment.TickCount64 + (long)_options.HandshakeTimeout.TotalMilliseconds;
        int left = open.Count(lane => !Join(lane.Thread, deadline));
        if (_started && !Join(_acceptThread, deadline))
        {
            left++;
        }

        if (left != 0)
        {
            LaneLog.NotEnded(_logger, left, LocalEndPoint);
        }

        // The source is left to the collector: a thread that did not end in time may still look at its token.
    }

    private static bool Join(Thread thread, long deadline) =>
        thread == Thread.CurrentThread || thread.Join((int)Math.Max(0, deadline - Environment.TickCount64));

    private void AcceptLoop()
    {
        while (!_closing.IsCancellationRequested)
        {
            try
            {
                Socket connection = _socket.Accept();
                if (IsProbe(connection) || !TryServe(connection))
                {
                    connection.Dispose();
                }
            }
            catch (Exception error) when (error is SocketException or ObjectDisposedException)
            {
                if (_closing.IsCancellationRequested)
                {
                    return;
                }

                // Mostly a lack of descriptors or memory, which accept would report again at once.
                LaneLog.AcceptFailed(_logger, error.Message);
                _closing.Token.WaitHandle.WaitOne(PauseAfterFailure);
            }
        }
    }

    private bool TryServe(Socket connection)
    {
        lock (_gate)
        {
            if (_closing.IsCancellationRequested)
            {
                return false;
            }

            if (_lanes.Count >= _options.MaxConnections)
            {
                LaneLog.TooMany(_logger, connection.RemoteEndPoint, _lanes.Count);
                return false;
            }

            var lane = new Lane(this, connection, $"{_options.ThreadName} {++_accepted}");
            try
            {
                // Inside the lock: Dispose may wait for the thread of a lane that it finds, which has to have been started.
                lane.Thread.Start();
                return _lanes.Add(lane);
            }
            catch (Exception error) when (error is OutOfMemoryException or ThreadStartException)
            {
                LaneLog.AcceptFailed(_logger, error.Message);
                return false;
            }
        }
    }

    private void Forget(Lane lane)
    {
        lock (_gate)
        {
            _lanes.Remove(lane);
        }
    }

    /// <summary>One connection and its thread.</summary>
    private sealed class Lane
    {
        private readonly LaneListener _listener;
        private readonly Socket _socket;
        private LaneCall? _call;

        public Lane(LaneListener listener, Socket socket, string name)
        {
            _listener = listener;
            _socket = socket;
            Thread = new Thread(Run) { IsBackground = true, Name = name };
        }

        public Thread Thread { get; }

        public void Abort()
        {
            lock (_socket)
            {
                _call?.Abort("the listener is closing");
            }
        }

        private void Run()
        {
            ILogger logger = _listener._logger;
            try
            {
                LaneCall call;
                try
                {
                    call = LaneCall.Greet(Connect(), _listener._options, Created);
                }
                catch (Exception error) when (error is LaneException or SocketException or ArgumentException)
                {
                    LaneLog.NotBegun(logger, error.Message);
                    return;
                }

                using (call)
                {
                    Serve(call, logger);
                }
            }
            finally
            {
                _socket.Dispose();
                _listener.Forget(this);
            }
        }

        private LaneTransport Connect()
        {
            LaneOptions options = _listener._options;
            var socket = new SocketLaneTransport(_socket, options);
            return _listener._tls() is { } tls ? new TlsLaneTransport(socket, tls, options) : socket;
        }

        private void Created(LaneCall call)
        {
            lock (_socket)
            {
                _call = call;
            }

            // A listener that closes is marked as closing first, and aborts the calls that are there after that.
            if (_listener._closing.IsCancellationRequested)
            {
                call.Abort("the listener is closing");
            }
        }

        private void Serve(LaneCall call, ILogger logger)
        {
            LaneLog.Serving(logger, call.Path, call.RemoteEndPoint);
            try
            {
                Refusal? refusal = Handle(call, logger);
                if (call.CanFinish)
                {
                    call.Finish(refusal);
                }

                call.AwaitClose();
                LaneLog.Done(logger, call.Path, call.RemoteEndPoint, call.BytesRead, call.BytesWritten);
            }
            catch (LaneException error)
            {
                LaneLog.Failed(logger, error.Kind, error.Message);
            }
        }

        private Refusal? Handle(LaneCall call, ILogger logger)
        {
            try
            {
                _listener._serve(call);
                return null;
            }
            catch (Refusal refusal)
            {
                return refusal;
            }
            catch (Exception error) when (error is not LaneException)
            {
                // Whatever a handler throws concerns its own lane only.
                LaneLog.HandlerFailed(logger, call.Path, call.RemoteEndPoint, error);
                return new Refusal(Because.Failed, "the lane's handler failed; the daemon's log says why");
            }
        }
    }
}
