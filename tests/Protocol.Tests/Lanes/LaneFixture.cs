using System.Collections.Concurrent;
using System.Net;
using Microsoft.Extensions.Logging;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;

namespace MigrationD.Protocol.Tests.Lanes;

/// <summary>
/// A listener on a free port of loopback, and the threads of a test. Everything has a deadline: what hangs fails, with the stack of a
/// <see cref="TimeoutException"/> that says what was waited for.
/// </summary>
internal sealed class LaneFixture : IDisposable
{
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(20);

    private readonly List<IDisposable> _owned = [];

    public LaneFixture(Action<LaneCall> serve, LaneOptions? options = null)
    {
        Options = options ?? new LaneOptions();
        Listener = new LaneListener(new IPEndPoint(IPAddress.Loopback, 0), Options, serve, Log);
        Listener.Start();
    }

    public LaneListener Listener { get; }

    public LaneOptions Options { get; }

    public RecordingLogger Log { get; } = new();

    /// <summary>A call to the listener, disposed of with the fixture.</summary>
    public LaneCall Open(string path = "/test/Lane", IReadOnlyDictionary<string, string>? metadata = null, LaneOptions? options = null)
    {
        LaneCall call = LaneClient.Open(
            Listener.LocalEndPoint, path, metadata ?? new Dictionary<string, string>(), options ?? Options, CancellationToken.None);
        _owned.Add(call);
        return call;
    }

    /// <summary>A connection that speaks HTTP/2 frame by frame, as wrongly as a test wants.</summary>
    public RawPeer Connect()
    {
        var peer = new RawPeer(Listener.LocalEndPoint, Options.Tls);
        _owned.Add(peer);
        return peer;
    }

    /// <summary>Runs the work on a thread of its own.</summary>
    public static Task Run(Action work) =>
        Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    /// <summary>Waits for the work, rethrows what it threw, and fails at the deadline.</summary>
    public static void Wait(params Task[] work)
    {
        Task all = Task.WhenAll(work);
        Assert.True(Task.WaitAny([all], Deadline) == 0, $"did not end within {Deadline.TotalSeconds} s");
        all.GetAwaiter().GetResult();
    }

    public void Dispose()
    {
        foreach (IDisposable owned in _owned)
        {
            owned.Dispose();
        }

        Listener.Dispose();
    }

    /// <summary>Keeps what the listener logs, so that a test can wait for it.</summary>
    public sealed class RecordingLogger : ILogger
    {
        private readonly BlockingCollection<string> _lines = [];

        /// <summary>Warnings and errors that nobody has asked for yet.</summary>
        public int Count => _lines.Count;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
            {
                _lines.Add(formatter(state, exception));
            }
        }

        /// <summary>The next warning or error.</summary>
        public string Next() => _lines.TryTake(out string? line, Deadline) ? line : throw new TimeoutException("nothing was logged");
    }
}
