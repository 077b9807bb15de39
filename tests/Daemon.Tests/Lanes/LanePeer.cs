using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Pages;

namespace MigrationD.Daemon.Tests.Lanes;

/// <summary>Two ends of a lane over loopback; the server's is served as a test wants it.</summary>
internal sealed class LanePeer : IDisposable
{
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(20);

    private readonly LaneListener _listener;

    public LanePeer(Action<LaneCall> serve, LaneOptions? options = null)
    {
        _listener = new LaneListener(new IPEndPoint(IPAddress.Loopback, 0), options ?? new LaneOptions(), serve, NullLogger.Instance);
        _listener.Start();
        Call = LaneClient.Open(
            _listener.LocalEndPoint, PageLanePaths.Handover, new Dictionary<string, string>(), options ?? new LaneOptions(),
            CancellationToken.None);
    }

    /// <summary>The client's end.</summary>
    public LaneCall Call { get; }

    /// <summary>Runs what blocks on a thread of its own.</summary>
    public static Task Start(Action work) =>
        Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    /// <summary>Runs what blocks on a thread of its own, for its result.</summary>
    public static Task<T> Start<T>(Func<T> work) =>
        Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    public void Dispose()
    {
        Call.Dispose();
        _listener.Dispose();
    }
}
