using System.Net;
using Google.Protobuf;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Source.Push;
using MigrationD.Daemon.Threading;
using MigrationD.Guest.Memory;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Source.Link;

/// <summary>
/// The lanes of one migration on its source, with the threads that serve them: one for urgent pages, one or more for the push, and one for
/// what is said at the switchover where the destination takes it.
/// </summary>
/// <remarks>
/// No page goes over two push lanes: they take their blocks from one <see cref="PushOrder"/> or <see cref="RoundBlocks"/>, and claim each
/// page in one <see cref="SentPages"/>.
/// </remarks>
internal sealed class SourceLanes : ISourceLanes
{
    // Of the pages that are sent ahead, as many go over one push lane before the next one has its turn.
    private const int PagesAheadInTurn = GuestPage.PerBlock;

    private static readonly TimeSpan CloseDeadline = TimeSpan.FromSeconds(5);

    private readonly LaneCall _urgent;
    private readonly PushLane[] _push;
    private readonly HandoverLane? _handover;
    private readonly UrgentGate _gate = new();
    private readonly PushOrder _order;
    private readonly OutgoingMemory _outgoing;
    private readonly TaskCompletionSource<Exception> _lost = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<Task> _threads = [];
    private readonly TimeProvider _time;
    private readonly ITimer _ping;
    private PushReport? _report;
    private volatile bool _mayRelease;
    private volatile bool _closing;

    private SourceLanes(LaneCall urgent, IEnumerable<LaneCall> push, HandoverLane? handover, OutgoingMemory outgoing, TimeProvider time)
    {
        _time = time;
        _handover = handover;
        _urgent = urgent;
        _push = [.. push.Select(call => new PushLane(call))];
        _outgoing = outgoing;
        _order = new PushOrder(outgoing.Memory.BlockCount);
        // A guest may need nothing for long, and a destination must tell that from a source that hangs; so must this side.
        _ping = time.CreateTimer(Ping, null, LaneOptions.PingInterval, LaneOptions.PingInterval);
    }

    public Task<Exception> Lost => _lost.Task;

    public IHandover? Handover => _handover;

    public SentPages Sent => _outgoing.Sent;

    public LiveFigures Figures
    {
        get
        {
            PushReport? report = Volatile.Read(ref _report);
            return new LiveFigures(
                Calls.Sum(call => call.BytesWritten), (long)(report?.PagesReceived ?? 0), report?.Placement,
                _outgoing.Released?.Bytes ?? 0, _outgoing.Compression.Figures);
        }
    }

    private IEnumerable<LaneCall> Calls =>
        [_urgent, .. _push.Select(lane => lane.Call), .. _handover is null ? [] : (LaneCall[])[_handover.Call]];

    public RamMap Map() => RamMap.OfSent(_outgoing.Sent.CountBlocks());

    /// <summary>Dials all lanes; the urgent one answers from now on. Blocks.</summary>
    public static SourceLanes Open(
        LaneDial dial, LanesWanted wanted, OutgoingMemory outgoing, ILogger logger, CancellationToken cancellationToken)
    {
        var opened = new List<LaneCall>();
        try
        {
            Open(PageLanePaths.Urgent);
            for (int lane = 0; lane < wanted.Push; lane++)
            {
                Open(PageLanePaths.Push, lane);
            }

            if (wanted.Handover is not null)
            {
                Open(PageLanePaths.Handover);
            }
        }
        catch
        {
            opened.ForEach(call => call.Dispose());
            throw;
        }

        HandoverLane? handover = wanted.Handover is null ? null : new HandoverLane(opened[^1], wanted.Handover, logger);
        var lanes = new SourceLanes(opened[0], opened.Skip(1).Take(wanted.Push), handover, outgoing, dial.Time);
        lanes.Start(logger);
        return lanes;

        void Open(string path, int lane = 0) => opened.Add(LaneClient.Open(
            dial.Address, path, LaneMetadata.For(dial.Session, dial.Secret.Span, lane), dial.Options, cancellationToken));
    }

    public async Task<long> SendRoundAsync(Func<bool> mustStop, PrecopyMark mark, bool isPaced, CancellationToken cancellationToken)
    {
        long before = _outgoing.Sent.Count();
        var blocks = new RoundBlocks(_outgoing.Memory.BlockCount);
        await SendMarkedAsync(
            push => push.SendRound(blocks, () => cancellationToken.IsCancellationRequested || mustStop(), isPaced), mark, cancellationToken)
            .ConfigureAwait(false);
        return _outgoing.Sent.Count() - before;
    }

    public Task SendMarkAsync(PrecopyMark mark, CancellationToken cancellationToken) => SendMarkedAsync(_ => { }, mark, cancellationToken);

    public void StartPush() => _push[0].Add(push => push.SendFirst());

    public void GuestRuns(ReadOnlyMemory<long> hottest)
    {
        _mayRelease = true;
        _handover?.Finish();
        for (int i = 0; i < _push.Length; i++)
        {
            int first = i;
            PushLane lane = _push[i];
            lane.Add(push =>
            {
                for (int turn = first * PagesAheadInTurn; turn < hottest.Length; turn += _push.Length * PagesAheadInTurn)
                {
                    push.SendAhead(hottest.Span[turn..Math.Min(turn + PagesAheadInTurn, hottest.Length)]);
                }

                push.SendRest();
                lane.Call.FinishWriting();
            });
        }
    }

    public async Task CloseAsync(bool complete)
    {
        _closing = true;
        foreach (PushLane lane in _push)
        {
            lane.Close(complete);
        }

        Task ended = Task.WhenAll(_threads);
        if (complete)
        {
            try
            {
                _urgent.FinishWriting();
                await ended.WaitAsync(CloseDeadline, _time).ConfigureAwait(false);
            }
            catch (Exception error) when (error is LaneException or TimeoutException)
            {
                // The destination has every page: that it is gone or silent now must not keep the guest's memory here.
            }
        }

        if (!ended.IsCompleted)
        {
            Abort("the migration is over");
        }

        await ended.ConfigureAwait(false);
    }

    public void Dispose()
    {
        _ping.Dispose();
        _urgent.Dispose();
        _handover?.Dispose();
        foreach (PushLane lane in _push)
        {
            lane.Dispose();
        }
    }

    private void Start(ILogger logger)
    {
        var sender = new UrgentSender(_urgent, _outgoing, _order, _gate, logger);
        Start("urgent", () =>
        {
            using (sender)
            {
                sender.Run();
            }
        });
        if (_handover is { } handover)
        {
            Start("handover", handover.ReadAnswers);
        }

        for (int i = 0; i < _push.Length; i++)
        {
            PushLane lane = _push[i];
            string name = i == 0 ? "" : $" {i}";
            Start($"reports{name}", () => lane.ReadReports(Note));
            Start($"push{name}", () =>
            {
                using var push = new PushSender(lane.Call, _outgoing, _order, _gate, () => _closing || _lost.Task.IsCompleted);
                lane.Push(push);
            });
        }
    }

    private void Start(string role, Action work) => _threads.Add(DedicatedThread.Start($"{role} {_outgoing.Guest}", () =>
    {
        try
        {
            work();
        }
        catch (Exception error)
        {
            // When a lane thread ends, the other lanes are of no use alone: both sides see the loss at once.
            if (!_closing)
            {
                _lost.TrySetResult(error);
                Abort(error.Message);
            }
        }
    }));

    private void Abort(string reason)
    {
        foreach (LaneCall call in Calls)
        {
            call.Abort(reason);
        }
    }

    private void Ping(object? state)
    {
        foreach (LaneCall call in Calls)
        {
            call.Ping();
        }
    }

    /// <summary>Has every push thread send something that ends in a mark, and waits until the destination says that all is there.</summary>
    private async Task SendMarkedAsync(Action<PushSender> send, PrecopyMark mark, CancellationToken cancellationToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task sent = Task.WhenAll(_push.Select(lane => lane.SendMarkedAsync(send, mark, stop.Token)));
        if (await Task.WhenAny(sent, _lost.Task).ConfigureAwait(false) == _lost.Task)
        {
            await stop.CancelAsync().ConfigureAwait(false);
            await sent.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            throw new LinkLostException(await _lost.Task.ConfigureAwait(false));
        }

        await sent.ConfigureAwait(false);
    }

    private void Note(PushReport report)
    {
        Release(report);
        Volatile.Write(ref _report, report);
    }

    /// <summary>Gives back what the destination confirms; not before its word that the guest runs there.</summary>
    private void Release(PushReport report)
    {
        if (_outgoing.Released is not { } released)
        {
            return;
        }

        foreach ((long first, long count) in RunList.Unpack(report.ConfirmedRuns, _outgoing.Memory.BlockCount))
        {
            released.Confirm(first, count);
        }

        if (_mayRelease)
        {
            released.Release();
        }
    }
}

/// <summary>Which lanes are opened besides the urgent one.</summary>
/// <param name="Push">How many for the push.</param>
/// <param name="Handover">How long answers on the handover lane may take; null for no such lane.</param>
internal sealed record LanesWanted(int Push, HandoverPatience? Handover = null);

/// <summary>What each lane of a session is dialled with.</summary>
internal sealed record LaneDial(EndPoint Address, string Session, ByteString Secret, LaneOptions Options)
{
    /// <summary>The clock that signs of life and the end of the lanes go by.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
