using System.Collections.Immutable;
using System.Diagnostics;
using System.Net;
using Google.Protobuf;
using Microsoft.Extensions.Logging;
using MigrationD.Daemon.Faults;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Logging;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Source.Link;
using MigrationD.Daemon.Source.Precopy;
using MigrationD.Daemon.Source.Push;
using MigrationD.Guest;
using MigrationD.Guest.Devices;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.Session;
using MigrationD.Protocol.V1;
using GuestContent = MigrationD.Guest.GuestContent;

namespace MigrationD.Daemon.Source;

/// <summary>
/// Moves one guest away: carries out what <see cref="SourceMachine"/> says, and tells it what came of it.
/// </summary>
internal sealed partial class SourceMigration
{
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
    private readonly Admission _admission;
    private TaskCompletionSource<SourceEvent> _order = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile MigrationPlan _plan;
    private volatile SourceState _state = SourceState.Idle;
    private string _reason = "";
    private SourceLanes? _lanes;
    private IHandover _handover;
    private SentPages? _sent;
    private readonly ReleasedMemory? _released;
    private readonly PushCompression _compression;
    private volatile SourcePrecopy? _precopy;
    private bool _switchOverNow;
    private long _precopyBegan;
    private LiveFigures _before;
    private long _activeSince;
    private string? _newAddress;
    private (SourceState State, string Reason)? _announced;

    private SourceMigration(
        HostedGuest hosted, IGuest guest, MigrationRecord record, DestinationClient destination, PrepareRequest prepare, MigrationPlan plan,
        Task noted, SourceNode node)
    {
        _hosted = hosted;
        _guest = guest;
        _record = record;
        _plan = plan;
        _released = plan.ReleaseRam ? new ReleasedMemory(guest.Memory) : null;
        _compression = new PushCompression(plan.Compress);
        GoBy(plan);
        _destination = destination;
        _handover = destination;
        _admission = new Admission(node.Queue, destination, node.Timeouts.Queue, record);
        _prepare = prepare;
        _noted = noted;
        _timeouts = node.Timeouts;
        _logger = node.Logger;
        _wasRunning = prepare.RunOnArrival;
    }

    /// <summary>Takes the guest and makes its migration ready to run.</summary>
    /// <exception cref="Refusal">The guest cannot be migrated now.</exception>
    public static SourceMigration Begin(SourceNode node, HostedGuest hosted, MigrationPlan plan, out MigrationRecord record)
    {
        string id = Convert.ToHexStringLower(Guid.NewGuid().ToByteArray().AsSpan(0, 6));
        IGuest guest = hosted.TakeForMigration(id, plan.To, out Task noted);
        try
        {
            var prepare = new PrepareRequest
            {
                ProtocolVersion = Math.Max(plan.NeededVersion, ProtocolVersion.Needed(more: hosted.Spec.Content != GuestContent.Random)),
                Guest = GuestMessages.ToMessage(hosted.Spec),
                RamBlocks = { new RamBlock { Id = "ram", Bytes = (ulong)guest.Memory.Length } },
                DeviceStateVersion = DeviceState.Version,
                MachineProfile = ByteString.CopyFrom(guest.MachineProfile()),
                Placement = plan.Placement,
                Mode = plan.Mode,
                SourceNode = node.Name,
                MigrationId = id,
                RunOnArrival = guest.IsRunning,
                MayWait = true,
                ConfirmBlocks = plan.ReleaseRam,
                Compressions = { PushCompression.Offer(plan.Compress) },
                PushLanes = (uint)plan.Lanes,
                HandoverLane = true,
            };
            record = new MigrationRecord(id, hosted.Name, MigrationRole.Source, plan.To, plan.Mode, guest.Memory.PageCount);
            var migration = new SourceMigration(
                hosted, guest, record, new DestinationClient(plan.To, node.Timeouts, node.Security, node.Logger), prepare, plan, noted,
                node);
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
            _admission.Dispose();
            if (SourceMachine.IsFinal(_state))
            {
                _lanes?.Dispose();
                _destination.Dispose();
                _cancelled.Dispose();
            }
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
                _admission.Leave();
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

        PrepareResponse prepared = await _admission.PrepareAsync(_prepare, again, _reason, cancel).ConfigureAwait(false);
        IReadOnlyList<IPEndPoint> lanes = await _destination.LanesOfAsync(prepared.Lanes, cancel).ConfigureAwait(false);
        FaultInjection.At("source.lanes");
        _compression.Agree(prepared.Compression);
        var sent = new SentPages(_guest.Memory.PageCount);
        Follow(await _destination.DialLanesAsync(
            lanes,
            (address, options) => SourceLanes.Open(
                address, prepared.Session, prepared.Secret.Span, options,
                new LanesWanted(_plan.Lanes, prepared.HandoverLane ? HandoverPatience.Of(_timeouts) : null), Outgoing(sent), _logger,
                cancel),
            cancel).ConfigureAwait(false));
        _handover = _lanes!.Handover ?? _destination;
        // While the guest runs: after a crash nobody must take it for lost that has been handed over.
        await _noted.ConfigureAwait(false);
        _sent = sent;
        if (again)
        {
            _record.CountRecovery();
            _reason = "";
        }
    }

    private async Task<SourceEvent?> PrecopyAsync(CancellationToken cancel)
    {
        _precopyBegan = _precopyBegan == 0 ? Stopwatch.GetTimestamp() : _precopyBegan;
        _activeSince = Stopwatch.GetTimestamp();
        VcpuThrottle? throttle = _plan.AutoConverge && _wasRunning ? new VcpuThrottle(_guest) : null;
        var precopy = new SourcePrecopy(_guest, _plan.Precopy, _lanes!, _sent!, throttle, _record, _precopyBegan);
        lock (_orders)
        {
            // Orders that came meanwhile found no precopy to tell.
            precopy.Change(_plan.Precopy);
            if (_switchOverNow)
            {
                precopy.SwitchOverNow();
            }

            _precopy = precopy;
        }

        FaultInjection.At("source.precopy");
        try
        {
            _hosted.IsHeldBack = throttle is not null;
            string why = await precopy.RunAsync(cancel).ConfigureAwait(false);
            if (!_plan.Precopy.IsPure)
            {
                IEnumerable<(long First, long Count)> stale = await precopy.EndAsync(cancel).ConfigureAwait(false);
                FaultInjection.At("source.forget");
                await ForgetAsync(stale, cancel).ConfigureAwait(false);
            }

            _record.NotePrecopyEnded(why);
            DaemonLog.PrecopyEnded(_logger, _record.Id, _hosted.Name, why);
            return SourceEvent.PrecopyEnded;
        }
        catch (Exception lost) when (lost is LinkLostException or Refusal { Why: Because.Unreachable })
        {
            _reason = $"{lost.Message}. The guest goes on here, untouched; the destination is dialled again, and precopy begins anew";
            return SourceEvent.LinkLost;
        }
        finally
        {
            _hosted.IsHeldBack = false;
        }
    }

    /// <exception cref="LinkLostException">
    /// The lanes are lost, or will be seen to be: a destination that notices first gives up, and refuses what is asked after that.
    /// </exception>
    private async Task ForgetAsync(IEnumerable<(long First, long Count)> stale, CancellationToken cancel)
    {
        Task<Exception> lost = _lanes!.Lost;
        Task forgotten = _handover.ForgetAsync(stale, cancel);
        try
        {
            await Task.WhenAny(forgotten, lost).Unwrap().ConfigureAwait(false);
        }
        catch (Refusal) when (!cancel.IsCancellationRequested)
        {
            await Task.WhenAny(lost, Task.Delay(_timeouts.Link, cancel)).ConfigureAwait(false);
            if (!lost.IsCompleted)
            {
                throw;
            }
        }

        if (lost.IsCompleted)
        {
            throw new LinkLostException(await lost.ConfigureAwait(false));
        }
    }

    private async Task SendStateAsync(CancellationToken cancel)
    {
        if (_precopy is { } precopy)
        {
            await (_plan.Precopy.IsPure
                ? precopy.SendLastAsync(_timeouts.Switchover, cancel)
                : _handover.ForgetAsync(precopy.Stale(), cancel).WaitAsync(_timeouts.Switchover, cancel)).ConfigureAwait(false);
        }

        byte[] state = _guest.SaveState();
        _clock.Saved();
        FaultInjection.At("source.state");
        // The guest's own tables are in front, and loading waits for them: pushed, they are there before anybody has to ask.
        _lanes!.StartPush();
        Task loaded = _handover.LoadStateAsync(state, cancel);
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
            await _handover.RunAsync(shutdown).ConfigureAwait(false);
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
}
