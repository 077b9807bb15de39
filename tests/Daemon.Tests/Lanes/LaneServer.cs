using System.Collections.Concurrent;
using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.Refusals;

namespace MigrationD.Daemon.Tests.Lanes;

/// <summary>
/// A real listener of lanes on loopback. They are served as a test wants it, or by the test itself, on its own thread: then each lane is
/// accepted, and <see cref="Take"/> gives it.
/// </summary>
internal sealed class LaneServer : IDisposable
{
    private readonly LaneListener _listener;
    private readonly BlockingCollection<LaneCall> _accepted = [];
    private readonly List<LaneCall> _kept = [];
    private readonly ManualResetEventSlim _over = new();

    /// <summary>Lanes that the test takes.</summary>
    public LaneServer(LaneOptions? options = null)
        : this(null, options)
    {
    }

    /// <summary>Lanes that are served so.</summary>
    public LaneServer(Action<LaneCall>? serve, LaneOptions? options = null)
    {
        // What does not come is a failed test and no test that hangs.
        Options = options ?? new LaneOptions { IdleTimeout = LanePeer.Deadline };
        _listener = new LaneListener(new IPEndPoint(IPAddress.Loopback, 0), Options, serve ?? Keep, NullLogger.Instance);
        _listener.Start();
    }

    public IPEndPoint EndPoint => _listener.LocalEndPoint;

    public LaneOptions Options { get; }

    /// <summary>Why a lane that the test would take is refused; null when it is not.</summary>
    public Func<LaneCall, Refusal?> Refuse { get; set; } = _ => null;

    /// <summary>A lane that was accepted, when it is; which push lane, where it is one. Each is given once.</summary>
    public LaneCall Take(string path, int lane = 0)
    {
        while (true)
        {
            if (_kept.Find(call => call.Path == path && LaneMetadata.LaneOf(call.Metadata) == lane) is { } found)
            {
                _kept.Remove(found);
                return found;
            }

            _kept.Add(_accepted.TryTake(out LaneCall? call, LanePeer.Deadline)
                ? call
                : throw new TimeoutException($"nobody opened the lane {path} {lane}"));
        }
    }

    /// <summary>Opens a lane, as a source does.</summary>
    public LaneCall Open(string path, IReadOnlyDictionary<string, string>? metadata = null) => LaneClient.Open(
        EndPoint, path, metadata ?? new Dictionary<string, string>(), Options, CancellationToken.None);

    /// <summary>Opens one of a session's push lanes.</summary>
    public LaneCall OpenPush(int lane) => Open(PageLanePaths.Push, LaneMetadata.For("session", [1], lane));

    public void Dispose()
    {
        _over.Set();
        _listener.Dispose();
    }

    private void Keep(LaneCall call)
    {
        if (Refuse(call) is { } refusal)
        {
            throw refusal;
        }

        call.Accept();
        // In no order: the next one may be dialled by now.
        _accepted.Add(call);
        _over.Wait();
    }
}
