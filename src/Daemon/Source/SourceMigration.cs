using System.Collections.Immutable;
using System.Diagnostics;
using System.Net;
using Google.Protobuf;
using Microsoft.Extensions.Logging;
using MigrationD.Daemon.Cli;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Hosting;
using MigrationD.Daemon.Migrations;
using MigrationD.Guest;
using MigrationD.Protocol.Grpc;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.Session;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Source;

/// <summary>
/// Moves one guest away: carries out what <see cref="SourceMachine"/> says, and tells it what came of it.
/// </summary>
internal sealed class SourceMigration
{
    // A destination that is full is asked again after so long, and then less and less often.
    private static readonly TimeSpan ShortestRest = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan LongestRest = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan ShortestUsefulLink = TimeSpan.FromMilliseconds(500);

    private const string CannotGoOn = "The guest cannot go on here: --release-ram has given memory of it back";

    private readonly HostedGuest _hosted;
    private readonly IGuest _guest;
    private readonly MigrationRecord _record;
    private readonly DestinationClient _destination;
    private readonly PrepareRequest _prepare;
    private readonly PushPace _pace = new(TimeProvider.System);
    private readonly ILogger _logger;
    private readonly bool _wasRunning;
    private readonly Task _noted;
    private readonly MigrationTimeouts _timeouts;
    private readonly SwitchoverClock _clock = new();
    private readonly Lock _orders = new();
    private readonly CancellationTokenSource _cancelled = new();
    private readonly MigrationQueue _queue;
    private readonly long _ticket;
    private MigrationTurn? _turn;
    private TaskCompletionSource<SourceEvent> _order = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile MigrationPlan _plan;
    private volatile SourceState _state = SourceState.Idle;
    private string _reason = "";
    private SourceLanes? _lanes;
    private SentPages? _sent;
    private readonly ReleasedMemory? _released;
    private volatile SourcePrecopy? _precopy;
    private long _precopyBegan;
    private LiveFigures _before;
    private long _activeSince;
    private string? _newAddress;
    private (SourceState State, string Reason)? _announced;

    private SourceMigration(
        HostedGuest hosted, IGuest guest, MigrationRecord record, DestinationClient destination, PrepareRequest prepare, MigrationPlan plan,
        Task noted, SourceNode node)
    {
        _queue = node.Queue;
        _ticket = node.Queue.TakeTicket();
        _hosted = hosted;
        _guest = guest;
        _record = record;
        _plan = plan;
        _released = plan.ReleaseRam ? new ReleasedMemory(guest.Memory) : null;
        GoBy(plan);
        _destination = destination;
        _prepare = prepare;
        _noted = noted;
        _timeouts = node.Timeouts;
        _logger = node.Logger;
        _wasRunning = prepare.RunOnArrival;
    }

    /// <summary>Takes the guest and makes its migration ready to run.</summary>
    /// <exception cref="GrpcException">The guest cannot be migrated now.</exception>
    public static SourceMigration Begin(SourceNode node, HostedGuest hosted, MigrationPlan plan, out MigrationRecord record)
    {
        string id = Convert.ToHexStringLower(Guid.NewGuid().ToByteArray().AsSpan(0, 6));
        IGuest guest = hosted.TakeForMigration(id, plan.To, out Task noted);
        try
        {
            var prepare = new PrepareRequest
            {
                ProtocolVersion = plan.NeededVersion,
                Guest = GuestMessages.ToMessage(hosted.Spec),
                RamBlocks = { new RamBlock { Id = "ram", Bytes = (ulong)guest.Memory.Length } },
                DeviceStateVersion = GuestFactory.DeviceStateVersion,
                MachineProfile = ByteString.CopyFrom(guest.MachineProfile()),
                Placement = plan.Placement,
                Mode = plan.Mode,
                SourceNode = node.Name,
                MigrationId = id,
                RunOnArrival = guest.IsRunning,
                MayWait = true,
                ConfirmBlocks = plan.ReleaseRam,
                PushLanes = (uint)plan.Lanes,
            };
            record = new MigrationRecord(id, hosted.Name, MigrationRole.Source, plan.To, plan.Mode, guest.Memory.PageCount);
            var migration = new SourceMigration(
                hosted, guest, record, new DestinationClient(plan.To, node), prepare, plan, noted, node);
            node.Migrations.Add(record);
            return migration;
        }
        catch
        {
            hosted.Return();
            throw;
        }
    }

    /// <summary>Runs the migration to its end, or to where it can only wait. Never throws.</summary>
    public async Task RunAsync(CancellationToken shutdown)
    {
        try
        {
            SourceEvent? happened = SourceEvent.Started;
            while (happened is { } now)
            {
                SourceTransition step = Step(now);
                Enter(step.State);
                happened = await PerformAsync(step.Actions, shutdown).ConfigureAwait(false);
            }
        }
        catch (Exception error)
        {
            // Only a bug after the handover, or in a rollback, gets here. The state stays what it was: who owns the guest by it, owns it.
            DaemonLog.MigrationBroke(_logger, error, _record.Id, _hosted.Name, _state);
            _record.Enter(
                SourceMachine.OwnsGuest(_state) ? MigrationState.Failed : MigrationState.PostcopyPaused,
                $"internal error: {error.Message}");
        }
        finally
        {
            _turn?.Dispose();
            if (SourceMachine.IsFinal(_state))
            {
                _lanes?.Dispose();
                _destination.Dispose();
                _cancelled.Dispose();
            }
        }
    }

    /// <summary>Stops the migration and lets the guest go on here.</summary>
    /// <exception cref="GrpcException">FAILED_PRECONDITION: the guest has been given away.</exception>
    public void Cancel()
    {
        lock (_orders)
        {
            if (SourceMachine.Next(_state, SourceEvent.CancelRequested) is null)
            {
                throw Refused("cancel", "the guest has been given to the destination, and only one of the two may ever run it");
            }

            _reason = "cancelled by an operator";
            _cancelled.Cancel();
        }
    }

    /// <summary>Ends precopy now; what has not come follows by post-copy.</summary>
    /// <exception cref="GrpcException">FAILED_PRECONDITION: the migration is not hybrid, or not in precopy.</exception>
    public void StartPostcopy()
    {
        if (_plan.Mode != MigrationMode.Hybrid)
        {
            throw Refused("start post-copy in", $"its mode is {Words.Of(_plan.Mode)}; only one that is hybrid has both");
        }

        if (_state != SourceState.PrecopyActive || _precopy is not { } precopy)
        {
            throw Refused("start post-copy in", "only one that is precopy-active can be told to");
        }

        precopy.SwitchOverNow();
    }

    /// <summary>Changes limits while it is under way.</summary>
    /// <exception cref="GrpcException">FAILED_PRECONDITION: the migration has no such limit, or not any more; nothing is changed.</exception>
    public void Set(SetMigrationRequest change)
    {
        lock (_orders)
        {
            if ((change.HasMaxRounds || change.HasDowntimeLimitMs) && _state is not (SourceState.Idle or SourceState.Setup
                or SourceState.PrecopyActive))
            {
                throw Refused("change limits of precopy in", "its precopy is over");
            }

            try
            {
                GoBy(_plan.With(change));
            }
            catch (ArgumentException no)
            {
                throw Refused("change limits of", no.Message);
            }
        }
    }

    /// <summary>Dials the destination again now, at another address if need be.</summary>
    /// <exception cref="GrpcException">FAILED_PRECONDITION: the link is not lost.</exception>
    public void Recover(string to)
    {
        lock (_orders)
        {
            if (SourceMachine.Next(_state, SourceEvent.RecoverOrdered) is null)
            {
                throw Refused("recover", "only a migration that is postcopy-paused can be recovered");
            }

            Give(SourceEvent.RecoverOrdered, "recover");
            _newAddress = to.Length > 0 ? to : null;
            // Said now, so that whoever gave the order can tell what comes of it from what was said before.
            _reason = $"the destination {_newAddress ?? _destination.Address} is dialled again, by an operator's order";
            Announce();
        }
    }

    /// <summary>Lets the guest go on here as it was at the switchover.</summary>
    /// <exception cref="GrpcException">
    /// FAILED_PRECONDITION: the destination has the guest, or may have it and <paramref name="force"/> is not said.
    /// </exception>
    public async Task ResumeHereAsync(bool force, CancellationToken cancel)
    {
        if (SourceMachine.Next(_state, SourceEvent.ResumeHereOrdered) is null)
        {
            throw Refused("resume here in", "only a guest whose destination cannot be reached can be resumed here");
        }

        RefuseUnlessWhole(IsWhole);

        DestinationWord word = await _destination.AskOnceAsync(cancel).ConfigureAwait(false);
        if (word == DestinationWord.HasGuest)
        {
            throw Refused("resume here in", $"the destination {_destination.Address} answers and has the guest; it must not run twice. "
                + $"Restore the link instead: migrationd migration recover {_record.Id}");
        }

        if (word == DestinationWord.Silent && !force)
        {
            throw Refused("resume here in", $"the destination {_destination.Address} does not answer, which does not mean that the guest "
                + "does not run there. Make sure that it does not (end that daemon, or its host), then repeat this with --force. Whatever "
                + "the guest did after the switchover is lost");
        }

        lock (_orders)
        {
            if (SourceMachine.Next(_state, SourceEvent.ResumeHereOrdered) is null)
            {
                throw Refused("resume here in", "the link was restored meanwhile");
            }

            RefuseUnlessWhole(_released?.TryKeep() != false);
            Give(SourceEvent.ResumeHereOrdered, "resume here in");
        }
    }

    private void RefuseUnlessWhole(bool isWhole)
    {
        if (!isWhole)
        {
            throw Refused("resume here in", $"{new ByteSize(_released!.Bytes).ToRoundedString()} of its memory are not here any more: "
                + "--release-ram gave them back as the destination confirmed them, and only the destination has them. Restore the link: "
                + $"migrationd migration recover {_record.Id}");
        }
    }

    private void GoBy(MigrationPlan plan)
    {
        _plan = plan;
        _pace.Set(plan.Bandwidth, plan.PostcopyBandwidth);
        _precopy?.Change(plan.Precopy);
        _record.SetLimits(plan.Limits());
    }

    private void Give(SourceEvent order, string what)
    {
        if (!_order.TrySetResult(order))
        {
            throw Refused(what, "another order is being carried out; see what comes of it first");
        }
    }

    private static MigrationState Reported(SourceState state) => state switch
    {
        SourceState.Idle or SourceState.Setup => MigrationState.Setup,
        SourceState.PrecopyActive => MigrationState.PrecopyActive,
        SourceState.Device or SourceState.HandingOver => MigrationState.Device,
        SourceState.PostcopyActive => MigrationState.PostcopyActive,
        SourceState.PostcopyPaused => MigrationState.PostcopyPaused,
        SourceState.Completed => MigrationState.Completed,
        SourceState.Failed => MigrationState.Failed,
        SourceState.Cancelled => MigrationState.Cancelled,
        _ => throw new ArgumentOutOfRangeException(nameof(state)),
    };

    /// <summary>Bytes add up. What the destination counted it has counted from the beginning, but says on new lanes only after a while.</summary>
    private static LiveFigures Sum(LiveFigures before, LiveFigures lanes) =>
        (lanes.Placement is null ? before : lanes) with { LaneBytes = before.LaneBytes + lanes.LaneBytes };

    private bool IsWhole => _released is null or { Bytes: 0 };

    private string Kept => IsWhole ? "all of them" : "those that have not been confirmed";

    private GrpcException Refused(string what, string why) => new(
        GrpcStatusCode.FailedPrecondition,
        $"{what} migration {_record.Id} of guest '{_hosted.Name}': it is {Words.Of(Reported(_state))}; {why}");

    /// <summary>The step that follows; an operator's wish to cancel comes before anything but an end.</summary>
    private SourceTransition Step(SourceEvent happened)
    {
        lock (_orders)
        {
            bool cancel = _cancelled.IsCancellationRequested && SourceMachine.Next(_state, SourceEvent.CancelRequested) is not null;
            SourceEvent now = cancel ? SourceEvent.CancelRequested : happened;
            SourceTransition step = SourceMachine.Next(_state, now)
                ?? throw new InvalidOperationException($"{now} cannot happen to a source in {_state}");
            if (step.State != _state)
            {
                // An order is given to a state: what was not heard in it must not be carried out in another.
                _order = new(TaskCreationOptions.RunContinuationsAsynchronously);
            }

            _state = step.State;
            return step;
        }
    }

    private void Enter(SourceState state)
    {
        // An end is announced when the guest is back, or freed, not before: whoever waits for it wants to use the guest, or its name.
        if (!SourceMachine.IsFinal(state))
        {
            Announce();
        }
    }

    private void Announce()
    {
        var now = (_state, _reason);
        if (now == _announced)
        {
            // Entered again, as when a link is dialled once more: nothing that anybody does not know.
            return;
        }

        _announced = now;
        _record.Enter(Reported(_state), _reason);
        DaemonLog.SourceEntered(_logger, _record.Id, _hosted.Name, _state, _reason);
    }

    /// <summary>Carries out actions in order; what came of the last one, or Failed as soon as one fails that can be rolled back.</summary>
    private async Task<SourceEvent?> PerformAsync(ImmutableArray<SourceAction> actions, CancellationToken shutdown)
    {
        SourceEvent? happened = null;
        try
        {
            foreach (SourceAction action in actions)
            {
                happened = await PerformAsync(action, shutdown).ConfigureAwait(false);
            }

            return happened;
        }
        catch (Exception error) when (_state is SourceState.PostcopyActive or SourceState.PostcopyPaused && happened is null)
        {
            // A mistake of this daemon's must not end in a guest that nobody can do anything about.
            DaemonLog.MigrationBroke(_logger, error, _record.Id, _hosted.Name, _state);
            _reason = $"internal error: {error.Message}";
            return _state == SourceState.PostcopyActive ? SourceEvent.LinkLost : SourceEvent.RecoveryGivenUp;
        }
        catch (Exception error) when (SourceMachine.Next(_state, SourceEvent.Failed) is not null)
        {
            if (!_cancelled.IsCancellationRequested)
            {
                _reason = error is OperationCanceledException && shutdown.IsCancellationRequested ? "this daemon is stopping" : error.Message;
            }

            return SourceEvent.Failed;
        }
    }

    private async Task<SourceEvent?> PerformAsync(SourceAction action, CancellationToken shutdown)
    {
        switch (action)
        {
            case SourceAction.Prepare:
                using (var stop = CancellationTokenSource.CreateLinkedTokenSource(shutdown, _cancelled.Token))
                {
                    await PrepareAsync(stop.Token).ConfigureAwait(false);
                    return MigrationPlan.HasPrecopy(_plan.Mode) ? SourceEvent.PrecopyPrepared : SourceEvent.Prepared;
                }

            case SourceAction.Precopy:
                using (var stop = CancellationTokenSource.CreateLinkedTokenSource(shutdown, _cancelled.Token))
                {
                    return await PrecopyAsync(stop.Token).ConfigureAwait(false);
                }

            case SourceAction.PauseGuest:
                _clock.Begin();
                // On this thread: no page of the guest is missing here, so nothing can make this wait for the thread pool.
                _guest.Pause();
                _precopy?.HarvestLast();
                _clock.Paused();
                FaultInjection.At("source.pause");
                return null;

            case SourceAction.SendState:
                using (var stop = CancellationTokenSource.CreateLinkedTokenSource(shutdown, _cancelled.Token))
                {
                    await SendStateAsync(stop.Token).ConfigureAwait(false);
                    return SourceEvent.Ready;
                }

            case SourceAction.GiveAway:
                _hosted.GiveAway(_destination);
                return null;

            case SourceAction.SendRun:
                return await SendRunAsync(shutdown).ConfigureAwait(false);

            case SourceAction.AskOutcome:
                return await AskOutcomeAsync(shutdown).ConfigureAwait(false);

            case SourceAction.StreamPages:
                return await StreamPagesAsync(shutdown).ConfigureAwait(false);

            case SourceAction.Recover:
                return await RecoverAsync(shutdown).ConfigureAwait(false);

            case SourceAction.AwaitOperator:
                // An operator may take days: others need not wait for that.
                _turn?.Dispose();
                Announce();
                return await OrderAsync(shutdown).ConfigureAwait(false);

            case SourceAction.ReturnGuest:
                await ReturnGuestAsync().ConfigureAwait(false);
                return null;

            case SourceAction.AbortDestination:
                await _destination.TryAbortAsync(_reason).ConfigureAwait(false);
                return null;

            case SourceAction.FreeGuest:
                await CloseLanesAsync(complete: true).ConfigureAwait(false);
                await _hosted.FreeAwayAsync().ConfigureAwait(false);
                Announce();
                return null;

            default:
                throw new ArgumentOutOfRangeException(nameof(action));
        }
    }

    private async Task PrepareAsync(CancellationToken cancel)
    {
        FaultInjection.At("source.prepare");
        bool again = await LeaveLanesAsync().ConfigureAwait(false);
        if (again)
        {
            await RestAsync(cancel).ConfigureAwait(false);
        }

        PrepareResponse prepared = await PrepareInTurnAsync(again, cancel).ConfigureAwait(false);
        EndPoint lanes = await _destination.LanesOfAsync(prepared.Lanes, cancel).ConfigureAwait(false);
        FaultInjection.At("source.lanes");
        var sent = new SentPages(_guest.Memory.PageCount);
        Follow(await _destination.DialLanesAsync(
            options => SourceLanes.Open(
                lanes, prepared.Session, prepared.Secret.Span, options, _plan.Lanes, Outgoing(sent), _logger, cancel),
            cancel).ConfigureAwait(false));
        // While the guest runs: after a crash nobody must take it for lost that has been handed over.
        await _noted.ConfigureAwait(false);
        _sent = sent;
        if (again)
        {
            _record.CountRecovery();
            _reason = "";
        }
    }

    private OutgoingMemory Outgoing(SentPages sent) => new(_hosted.Name, _guest.Memory, sent, _pace, _released);

    /// <summary>Waits for this node to have a turn for it, and for the destination to have room for one more guest on its way.</summary>
    private async Task<PrepareResponse> PrepareInTurnAsync(bool again, CancellationToken cancel)
    {
        // Not from the beginning: what it waited for its turn here is no time of the destination's.
        long busySince = 0;
        for (TimeSpan rest = ShortestRest; ; rest = rest * 2 < LongestRest ? rest * 2 : LongestRest)
        {
            await TakeTurnAsync(cancel).ConfigureAwait(false);
            PrepareResponse answer = await _destination.PrepareAsync(_prepare, again, cancel).ConfigureAwait(false);
            if (answer.Busy.Length == 0)
            {
                return answer;
            }

            busySince = busySince == 0 ? Stopwatch.GetTimestamp() : busySince;
            string why = $"the destination {_destination.Address} takes no more guests at the moment: {answer.Busy}";
            if (Stopwatch.GetElapsedTime(busySince) >= _timeouts.Queue)
            {
                throw new GrpcException(
                    GrpcStatusCode.ResourceExhausted,
                    $"{why}. It was asked for {_timeouts.Queue.TotalSeconds:0.#} s ({DaemonOptionKey.QueueTimeout.Flag})");
            }

            // Whoever goes elsewhere need not wait for that; this one has its place again when it comes back.
            _turn!.Dispose();
            _turn = null;
            _record.Enter(Reported(_state), $"{why}. It is asked again");
            await Task.Delay(rest * (0.5 + (Random.Shared.NextDouble() / 2)), cancel).ConfigureAwait(false);
        }
    }

    private async Task TakeTurnAsync(CancellationToken cancel)
    {
        if (_turn is not null)
        {
            return;
        }

        MigrationTurn turn = _turn = _queue.Join(_ticket);
        while (!turn.WhenCome.IsCompleted)
        {
            Task changed = _queue.Changed;
            if (_queue.PlaceOf(turn) is { Place: > 0 } queued)
            {
                _record.Enter(
                    Reported(_state),
                    $"number {queued.Place} in the queue of this node: {queued.UnderWay} of at most {_queue.Limit} migrations are under way "
                    + $"({DaemonOptionKey.MaxOutgoing.Flag})");
            }

            await Task.WhenAny(turn.WhenCome, changed).WaitAsync(cancel).ConfigureAwait(false);
        }

        await turn.WhenCome.ConfigureAwait(false);
        _record.Begin(_reason);
    }

    private async Task<SourceEvent?> PrecopyAsync(CancellationToken cancel)
    {
        _precopyBegan = _precopyBegan == 0 ? Stopwatch.GetTimestamp() : _precopyBegan;
        _activeSince = Stopwatch.GetTimestamp();
        VcpuThrottle? throttle = _plan.AutoConverge && _wasRunning ? new VcpuThrottle(_guest) : null;
        var precopy = new SourcePrecopy(_guest, _plan.Precopy, _lanes!, _sent!, throttle, _record, _precopyBegan);
        lock (_orders)
        {
            // An order that came meanwhile found no precopy to tell.
            precopy.Change(_plan.Precopy);
            _precopy = precopy;
        }

        FaultInjection.At("source.precopy");
        try
        {
            _hosted.IsHeldBack = throttle is not null;
            string why = await precopy.RunAsync(cancel).ConfigureAwait(false);
            if (!_plan.Precopy.IsPure)
            {
                FaultInjection.At("source.forget");
                await _destination.ForgetAsync(await precopy.EndAsync(cancel).ConfigureAwait(false), cancel).ConfigureAwait(false);
            }

            _record.NotePrecopyEnded(why);
            DaemonLog.PrecopyEnded(_logger, _record.Id, _hosted.Name, why);
            return SourceEvent.PrecopyEnded;
        }
        catch (Exception lost) when (lost is LinkLostException or GrpcException { Code: GrpcStatusCode.Unavailable })
        {
            _reason = $"{lost.Message}. The guest goes on here, untouched; the destination is dialled again, and precopy begins anew";
            return SourceEvent.LinkLost;
        }
        finally
        {
            _hosted.IsHeldBack = false;
        }
    }

    /// <summary>Lets go of lanes, and of the dirty log with them; whether there were any.</summary>
    private async Task<bool> LeaveLanesAsync()
    {
        if (_lanes is not { } lost)
        {
            return false;
        }

        await CloseLanesAsync(complete: false).ConfigureAwait(false);
        LiveFigures last = Sum(_before, lost.Figures);
        _before = last;
        RamMap map = lost.Map();
        _record.Follow(() => last, () => map);
        lost.Dispose();
        _lanes = null;
        _precopy?.Dispose();
        _precopy = null;
        return true;
    }

    // A link that holds for less than this is dialled no faster than one that cannot be had at all.
    private Task RestAsync(CancellationToken cancel) => Stopwatch.GetElapsedTime(_activeSince) < ShortestUsefulLink
        ? Task.Delay(ShortestUsefulLink, cancel)
        : Task.CompletedTask;

    private void Follow(SourceLanes lanes)
    {
        _lanes = lanes;
        LiveFigures before = _before;
        _record.Follow(() => Sum(before, lanes.Figures), lanes.Map);
    }

    private async Task SendStateAsync(CancellationToken cancel)
    {
        if (_precopy is { } precopy)
        {
            await (_plan.Precopy.IsPure
                ? precopy.SendLastAsync(_timeouts.Switchover, cancel)
                : _destination.ForgetAsync(precopy.Stale(), cancel).WaitAsync(_timeouts.Switchover, cancel)).ConfigureAwait(false);
        }

        byte[] state = _guest.SaveState();
        _clock.Saved();
        FaultInjection.At("source.state");
        // The guest's own tables are in front, and loading waits for them: pushed, they are there before anybody has to ask.
        _lanes!.StartPush();
        Task loaded = _destination.LoadStateAsync(state, cancel);
        // Loading may need pages: without the lanes the answer would be a deadline away, and the guest stands still.
        if (await Task.WhenAny(loaded, _lanes.Lost).ConfigureAwait(false) != loaded)
        {
            throw await _lanes.Lost.ConfigureAwait(false);
        }

        await loaded.ConfigureAwait(false);
        _clock.Loaded();
    }

    private async Task<SourceEvent> SendRunAsync(CancellationToken shutdown)
    {
        try
        {
            FaultInjection.At("source.run-before");
            await _destination.RunAsync(shutdown).ConfigureAwait(false);
            FaultInjection.At("source.run-after");
            return Confirmed();
        }
        catch (Exception error)
        {
            _reason = $"the destination has not said whether the guest runs there: {error.Message}";
            return SourceEvent.RunUnanswered;
        }
    }

    private async Task<SourceEvent?> AskOutcomeAsync(CancellationToken shutdown)
    {
        Announce();
        return await UnlessOrderedAsync(
            async stop =>
            {
                if (await _destination.AskOutcomeAsync(stop).ConfigureAwait(false) == Outcome.Running)
                {
                    return Confirmed();
                }

                _reason = "the destination never started the guest";
                return SourceEvent.NeverStarted;
            },
            Timeout.InfiniteTimeSpan,
            shutdown).ConfigureAwait(false);
    }

    private SourceEvent Confirmed()
    {
        _clock.Running();
        _record.NoteSwitchover();
        if (_wasRunning)
        {
            _record.SetDowntime(_clock.Downtime);
        }

        DaemonLog.SwitchedOver(
            _logger, _record.Id, _hosted.Name, _clock.Downtime.TotalMilliseconds, _clock.Pause.TotalMilliseconds,
            _clock.Save.TotalMilliseconds, _clock.Load.TotalMilliseconds, _clock.Run.TotalMilliseconds);
        _hosted.RunsElsewhere();

        _reason = "";
        return SourceEvent.RunConfirmed;
    }

    private async Task<SourceEvent?> StreamPagesAsync(CancellationToken shutdown)
    {
        SourceLanes lanes = _lanes!;
        _activeSince = Stopwatch.GetTimestamp();
        lanes.StartPush();
        lanes.GuestRuns(_precopy?.Hottest() ?? default);
        FaultInjection.At("source.stream");
        using var asking = CancellationTokenSource.CreateLinkedTokenSource(shutdown);
        Task<CompleteResponse> complete = _destination.CompleteAsync(asking.Token);
        if (await Task.WhenAny(complete, lanes.Lost).ConfigureAwait(false) == lanes.Lost)
        {
            await asking.CancelAsync().ConfigureAwait(false);
            // Until it has ended it may dial anew, and whoever recovers does so on the same connection.
            await ((Task)complete).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            Exception lost = await lanes.Lost.ConfigureAwait(false);
            _reason = $"a page lane is lost: {lost.Message}. The guest goes on at the destination with the pages it has; this daemon keeps "
                + $"{Kept} and dials the destination again";
            return SourceEvent.LinkLost;
        }

        try
        {
            CompleteResponse answer = await complete.ConfigureAwait(false);
            FaultInjection.At("source.complete");
            _record.StopClock();
            long before = _before.LaneBytes;
            _record.Follow(
                () => new LiveFigures(
                    before + lanes.Figures.LaneBytes, _guest.Memory.PageCount, answer.Placement, _released?.Bytes ?? 0),
                lanes.Map);
            return SourceEvent.AllPagesPlaced;
        }
        catch (GrpcException error)
        {
            _reason = $"the destination does not know this migration any more: {error.Message}";
            return SourceEvent.LinkLost;
        }
        catch (OperationCanceledException) when (shutdown.IsCancellationRequested)
        {
            return null;
        }
    }

    private async Task<SourceEvent?> RecoverAsync(CancellationToken shutdown)
    {
        await LeaveLanesAsync().ConfigureAwait(false);
        if (Interlocked.Exchange(ref _newAddress, null) is { } address)
        {
            _destination.MoveTo(address);
        }

        return await UnlessOrderedAsync(
            async stop =>
            {
                await RestAsync(stop).ConfigureAwait(false);
                FaultInjection.At("source.recover");
                SourceLanes? lanes = await _destination.RecoverAsync(
                    (answer, endPoint, options) => SourceLanes.Open(
                        endPoint, _destination.Session!, answer.Secret.Span, options, _plan.Lanes,
                        Outgoing(new SentPages(ReceivedBitmap.Unpack(answer.Received, _guest.Memory.PageCount))), _logger, stop),
                    stop).ConfigureAwait(false);
                if (lanes is null)
                {
                    return SourceEvent.AllPagesPlaced;
                }

                Follow(lanes);
                _record.CountRecovery();
                _reason = "";
                return SourceEvent.LinkRestored;
            },
            _timeouts.Recovery,
            shutdown).ConfigureAwait(false);
    }

    /// <summary>
    /// What comes of talking to the destination, unless an operator's order comes first, or time runs out, or the daemon stops (null).
    /// </summary>
    private async Task<SourceEvent?> UnlessOrderedAsync(
        Func<CancellationToken, Task<SourceEvent>> talk, TimeSpan timeout, CancellationToken shutdown)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(shutdown);
        Task<SourceEvent> talking = talk(stop.Token);
        Task<SourceEvent?> ordered = OrderAsync(stop.Token);
        await Task.WhenAny(talking, ordered, Task.Delay(timeout, stop.Token)).ConfigureAwait(false);
        bool isOrdered = ordered.IsCompletedSuccessfully && !talking.IsCompleted;
        await stop.CancelAsync().ConfigureAwait(false);
        try
        {
            return await talking.ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (shutdown.IsCancellationRequested)
        {
            return null;
        }
        catch (OperationCanceledException) when (isOrdered)
        {
            return await ordered.ConfigureAwait(false);
        }
        catch (Exception error) when (error is OperationCanceledException or GrpcException { Code: GrpcStatusCode.Cancelled })
        {
            _reason = $"the destination {_destination.Address} was not reached within {timeout.TotalSeconds:0.#} s. The guest goes on there, if "
                + $"that host lives, with the pages it has; this daemon keeps {Kept}. When it is back: "
                + $"migrationd migration recover {_record.Id}. "
                + (IsWhole ? $"If it is gone for good: migrationd migration resolve {_record.Id} --resume-here" : CannotGoOn);
            return SourceEvent.RecoveryGivenUp;
        }
        catch (GrpcException gone)
        {
            _reason = $"the destination {_destination.Address} answers and does not have the guest any more: {gone.Message}. "
                + (IsWhole
                    ? "This daemon keeps every page as it was at the switchover: "
                        + $"migrationd migration resolve {_record.Id} --resume-here lets the guest go on here from then; what it did after that "
                        + "is lost"
                    : CannotGoOn);
            return SourceEvent.DestinationGone;
        }
    }

    /// <summary>The operator's next order; null when the daemon stops.</summary>
    private async Task<SourceEvent?> OrderAsync(CancellationToken stop)
    {
        Task<SourceEvent> order = _order.Task;
        await ((Task)order).WaitAsync(stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (!order.IsCompleted)
        {
            return null;
        }

        lock (_orders)
        {
            _order = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        SourceEvent ordered = await order.ConfigureAwait(false);
        if (ordered == SourceEvent.ResumeHereOrdered)
        {
            _reason = "an operator let the guest go on here, as it was at the switchover; what it did on the destination is lost";
        }

        return ordered;
    }

    private async Task ReturnGuestAsync()
    {
        if (_wasRunning)
        {
            _guest.Resume();
        }

        _precopy?.Dispose();
        // Until no lane thread reads its memory, nobody may delete it.
        await CloseLanesAsync(complete: false).ConfigureAwait(false);
        _hosted.Return();
        Announce();
    }

    private async Task CloseLanesAsync(bool complete)
    {
        if (_lanes is { } lanes)
        {
            await lanes.CloseAsync(complete).ConfigureAwait(false);
        }
    }
}
