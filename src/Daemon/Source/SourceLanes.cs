using System.Collections.Concurrent;
using System.Net;
using Microsoft.Extensions.Logging;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Threading;
using MigrationD.Guest.Memory;
using MigrationD.Protocol.Grpc.Lanes;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Source;

/// <summary>Both lanes of one migration on its source, with the threads that serve them.</summary>
internal sealed class SourceLanes : IDisposable
{
    private static readonly TimeSpan CloseDeadline = TimeSpan.FromSeconds(5);

    // Several in the shortest silence that either end may be told to take for a lost link, which is 2 s.
    private static readonly TimeSpan PingInterval = TimeSpan.FromMilliseconds(400);

    private readonly LaneCall _urgent;
    private readonly LaneCall _push;
    private readonly UrgentGate _gate = new();
    private readonly PushOrder _order;
    private readonly SentPages _sent;
    private readonly GuestMemory _memory;
    private readonly PushPace _pace;
    private readonly ReleasedMemory? _released;
    private volatile bool _mayRelease;
    private readonly string _guest;
    private readonly TaskCompletionSource<Exception> _lost = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly BlockingCollection<Action<PushSender>> _pushWork = [];
    private readonly CancellationTokenSource _stopPush = new();
    private readonly List<Task> _threads = [];
    private readonly Timer _ping;
    private PushReport? _report;
    private volatile TaskCompletionSource _reported = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private uint _marks;
    private volatile bool _closing;

    private SourceLanes(LaneCall urgent, LaneCall push, GuestMemory memory, SentPages sent, PushPace pace, ReleasedMemory? released, string guest)
    {
        _urgent = urgent;
        _push = push;
        _memory = memory;
        _pace = pace;
        _released = released;
        _guest = guest;
        _order = new PushOrder(memory.BlockCount);
        _sent = sent;
        // A guest may need nothing for long, and a destination must tell that from a source that hangs; so must this side.
        _ping = new Timer(Ping, null, PingInterval, PingInterval);
    }

    /// <summary>Ends, with the cause, when a lane breaks.</summary>
    public Task<Exception> Lost => _lost.Task;

    /// <summary>What is known of the migration from the lanes.</summary>
    public LiveFigures Figures
    {
        get
        {
            PushReport? report = Volatile.Read(ref _report);
            return new LiveFigures(_urgent.BytesWritten + _push.BytesWritten, (long)(report?.PagesReceived ?? 0), report?.Placement, _released?.Bytes ?? 0);
        }
    }

    /// <summary>What has been sent so far, over these lanes and those before.</summary>
    public RamMap Map() => RamMap.OfSent(_sent.CountBlocks());

    /// <summary>Dials both lanes; the urgent one answers from now on. Blocks.</summary>
    public static SourceLanes Open(
        EndPoint address, string session, ReadOnlySpan<byte> secret, LaneOptions options, GuestMemory memory, SentPages sent,
        PushPace pace, ReleasedMemory? released, string guest, ILogger logger, CancellationToken cancel)
    {
        Dictionary<string, string> metadata = LaneMetadata.For(session, secret);
        LaneCall urgent = LaneClient.Open(address, PageLanePaths.Urgent, metadata, options, cancel);
        LaneCall push;
        try
        {
            push = LaneClient.Open(address, PageLanePaths.Push, metadata, options, cancel);
        }
        catch
        {
            urgent.Dispose();
            throw;
        }

        var lanes = new SourceLanes(urgent, push, memory, sent, pace, released, guest);
        var sender = new UrgentSender(urgent, memory, lanes._sent, lanes._order, lanes._gate, pace, released, logger);
        lanes.Start("urgent", () =>
        {
            using (sender)
            {
                sender.Run();
            }
        });
        lanes.Start("reports", lanes.ReadReports);
        lanes.Start("push", lanes.Push);
        return lanes;
    }

    /// <summary>
    /// Sends a round of precopy: every page that is not marked as sent. Ends when the destination has put all of them into their places.
    /// </summary>
    /// <param name="mustStop">Asked now and then; true ends the round early.</param>
    /// <param name="mark">What to say behind it.</param>
    /// <param name="isPaced">Whether it keeps to the bandwidth.</param>
    /// <param name="cancel">Gives up waiting.</param>
    /// <returns>Pages sent.</returns>
    public async Task<long> SendRoundAsync(Func<bool> mustStop, PrecopyMark mark, bool isPaced, CancellationToken cancel)
    {
        long sent = 0;
        await SendAsync(
            push =>
            {
                sent = push.SendRound(() => cancel.IsCancellationRequested || mustStop(), isPaced);
                push.SendMark(mark);
            },
            cancel).ConfigureAwait(false);
        return sent;
    }

    /// <summary>Sends a mark alone; ends as <see cref="SendRoundAsync"/> does.</summary>
    public Task SendMarkAsync(PrecopyMark mark, CancellationToken cancel) => SendAsync(push => push.SendMark(mark), cancel);

    /// <summary>
    /// Begins to send pages that are not asked for: the first block now, the rest once <see cref="GuestRuns"/> is said, because until then
    /// they would only take time from what the guest waits for.
    /// </summary>
    public void StartPush() => _pushWork.Add(push => push.SendFirst());

    /// <summary>The guest runs on the destination.</summary>
    /// <param name="hottest">Pages that it is likely to need first, the likeliest first.</param>
    public void GuestRuns(ReadOnlyMemory<long> hottest)
    {
        _mayRelease = true;
        _pushWork.Add(push =>
        {
            push.SendAhead(hottest.Span);
            push.SendRest();
            _push.FinishWriting();
        });
    }

    /// <summary>Closes both lanes and waits until no thread uses the guest's memory any more.</summary>
    public async Task CloseAsync(bool complete)
    {
        _closing = true;
        _pushWork.CompleteAdding();
        if (!complete)
        {
            await _stopPush.CancelAsync().ConfigureAwait(false);
        }

        Task ended = Task.WhenAll(_threads);
        if (complete)
        {
            try
            {
                _urgent.FinishWriting();
                await ended.WaitAsync(CloseDeadline).ConfigureAwait(false);
            }
            catch (Exception error) when (error is LaneException or TimeoutException)
            {
                // The destination has every page: that it is gone or silent now must not keep the guest's memory here.
            }
        }

        if (!ended.IsCompleted)
        {
            _urgent.Abort("the migration is over");
            _push.Abort("the migration is over");
        }

        await ended.ConfigureAwait(false);
    }

    public void Dispose()
    {
        _ping.Dispose();
        _urgent.Dispose();
        _push.Dispose();
        _pushWork.Dispose();
        _stopPush.Dispose();
    }

    private void Start(string role, Action work) => _threads.Add(DedicatedThread.Start($"{role} {_guest}", () =>
    {
        try
        {
            work();
        }
        catch (Exception error)
        {
            // Whatever ends a lane thread, the other lane is of no use alone: both sides see the loss at once.
            if (!_closing)
            {
                _lost.TrySetResult(error);
                _urgent.Abort(error.Message);
                _push.Abort(error.Message);
            }
        }
    }));

    private void Ping(object? state)
    {
        _urgent.Ping();
        _push.Ping();
    }

    private void Push()
    {
        using var push = new PushSender(_push, _memory, _sent, _order, _gate, _pace, () => _closing || _lost.Task.IsCompleted);
        foreach (Action<PushSender> work in _pushWork.GetConsumingEnumerable(_stopPush.Token))
        {
            work(push);
        }
    }

    /// <summary>Has the push thread send something that ends in a mark, and waits until the destination says that it is there.</summary>
    private async Task SendAsync(Action<PushSender> send, CancellationToken cancel)
    {
        uint marks = ++_marks;
        var sent = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _pushWork.Add(
            push =>
            {
                send(push);
                sent.SetResult();
            },
            cancel);
        await UnlessLostAsync(sent.Task, cancel).ConfigureAwait(false);
        while (true)
        {
            Task next = _reported.Task;
            if (Volatile.Read(ref _report)?.Marks >= marks)
            {
                return;
            }

            await UnlessLostAsync(next, cancel).ConfigureAwait(false);
        }
    }

    private async Task UnlessLostAsync(Task task, CancellationToken cancel)
    {
        if (await Task.WhenAny(task, _lost.Task).WaitAsync(cancel).ConfigureAwait(false) == _lost.Task)
        {
            throw new LinkLostException(await _lost.Task.ConfigureAwait(false));
        }
    }

    /// <summary>Gives back what the destination confirms; not before its word that the guest runs there.</summary>
    private void Release(PushReport report)
    {
        if (_released is null)
        {
            return;
        }

        foreach ((long first, long count) in StaleRuns.Unpack(report.ConfirmedRuns, _memory.BlockCount))
        {
            _released.Confirm(first, count);
        }

        if (_mayRelease)
        {
            _released.Release();
        }
    }

    private void ReadReports()
    {
        while (_push.TryReadMessage(out int length))
        {
            byte[] message = new byte[length];
            _push.Read(message);
            PushReport report = PushReport.Parser.ParseFrom(message);
            Release(report);
            Volatile.Write(ref _report, report);
            Interlocked.Exchange(ref _reported, new(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();
        }
    }
}
