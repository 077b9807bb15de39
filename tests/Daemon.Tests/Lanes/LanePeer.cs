using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Pages;

namespace MigrationD.Daemon.Tests.Lanes;

/// <summary>Two ends of a lane over loopback; the server's is served as a test wants it.</summary>
internal sealed class LanePeer : IDisposable
{
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(20);

    private readonly LaneServer _server;

    public LanePeer(Action<LaneCall> serve, LaneOptions? options = null, string path = PageLanePaths.Handover)
    {
        _server = new LaneServer(serve, options);
        Call = _server.Open(path);
    }

    /// <summary>The client's end.</summary>
    public LaneCall Call { get; }

    /// <summary>Runs what blocks on a thread of its own.</summary>
    public static Task Start(Action work) =>
        Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    /// <summary>Runs what blocks on a thread of its own, for its result.</summary>
    public static Task<T> Start<T>(Func<T> work) =>
        Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    /// <summary>Waits until this is so.</summary>
    public static void Until(Func<bool> condition, string what) => Assert.True(SpinWait.SpinUntil(condition, Deadline), $"never: {what}");

    public void Dispose()
    {
        Call.Dispose();
        _server.Dispose();
    }
}
