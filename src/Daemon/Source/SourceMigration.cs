using System.Collections.Immutable;
using System.Diagnostics;
using Google.Protobuf;
using MigrationD.Daemon.Faults;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Logging;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Source.Link;
using MigrationD.Daemon.Source.Precopy;
using MigrationD.Daemon.Source.Push;
using MigrationD.Guest;
using MigrationD.Guest.Devices;
using MigrationD.Protocol.Messages;
using MigrationD.Protocol.StateMachines;
using MigrationD.Protocol.V1;
using GuestContent = MigrationD.Guest.GuestContent;

namespace MigrationD.Daemon.Source;

/// <summary>Moves one guest away: carries out what <see cref="SourceMachine"/> says, and tells it what came of it.</summary>
internal sealed partial class SourceMigration
{
    private static readonly TimeSpan ShortestUsefulLink = TimeSpan.FromMilliseconds(500);

    private const string CannotGoOn = "The guest cannot go on here: --release-ram has given memory of it back";

    private readonly HostedGuest _hosted;
    private readonly IGuest _guest;
    private readonly MigrationRecord _record;
    private readonly IDestination _destination;
    private readonly PrepareRequest _prepare;
    private readonly TimeProvider _time;
    private readonly PushPace _pace;
    private readonly ILogger _logger;
    private readonly Task _recorded;
    private readonly MigrationTimeouts _timeouts;
    private readonly SwitchoverClock _clock = new();
    private readonly Lock _orders = new();
    private readonly CancellationTokenSource _cancelled = new();
    private readonly Admission _admission;
    private TaskCompletionSource<Happened<SourceEvent>> _order = NewOrder();
    private volatile MigrationPlan _plan;
    private volatile SourceState _state = SourceState.Idle;
    private ISourceLanes? _lanes;
    private readonly ReleasedMemory? _released;
    private readonly PushCompression _compression;
    private volatile SourcePrecopy? _precopy;
    private bool _switchOverNow;
    private long _precopyBegan;
    private LiveFigures _before;
    private long _activeSince;
    private string? _newAddress;

    private SourceMigration(
        SourceNode node, HostedGuest hosted, IGuest guest, Task recorded, MigrationRecord record, PrepareRequest prepare,
        MigrationPlan plan)
    {
        _hosted = hosted;
        _guest = guest;
        _recorded = recorded;
        _record = record;
        _time = node.Time;
        _pace = new PushPace(node.Time);
        _released = plan.ReleaseRam ? new ReleasedMemory(_guest.Memory) : null;
        _compression = new PushCompression(plan.Compress);
        Apply(plan);
        _destination = node.Connect(plan.To);
        _admission = new Admission(node.Queue, _destination, node.Timeouts.Queue, record, node.Time);
        _prepare = prepare;
        _timeouts = node.Timeouts;
        _logger = node.Logger;
    }

    /// <summary>Takes the guest and makes its migration ready to run.</summary>
    /// <exception cref="Refusal">The guest cannot be migrated now.</exception>
    public static SourceMigration Begin(SourceNode node, HostedGuest hosted, MigrationPlan plan, out MigrationRecord record)
    {
        string id = Convert.ToHexStringLower(Guid.NewGuid().ToByteArray().AsSpan(0, 6));
        IGuest guest = hosted.TakeForMigration(id, plan.To, out Task recorded);
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
            var migration = new SourceMigration(node, hosted, guest, recorded, record, prepare, plan);
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
            Happened<SourceEvent>? happened = new(SourceEvent.Started);
            while (happened is { } now)
            {
                (ImmutableArray<SourceAction> actions, string why) = Step(now);
                happened = await PerformAsync(actions, why, shutdown).ConfigureAwait(false);
            }
        }
        catch (Exception error)
        {
            // Only a bug after the handover, or in a rollback, gets here. The state stays what it was, and by it who owns the guest.
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

    /// <summary>Whether the guest ran when its migration began: then it runs again wherever it ends up.</summary>
    private bool WasRunning => _prepare.RunOnArrival;

    /// <summary>Who is told of the switchover: the lane for it, or calls where the destination does not know that lane.</summary>
    private IHandover Handover => _lanes!.Handover ?? _destination;

    /// <summary>
    /// Takes the step that follows and announces the state that it leads to; an operator's wish to cancel comes before anything but an end.
    /// </summary>
    private (ImmutableArray<SourceAction> Actions, string Why) Step(Happened<SourceEvent> happened)
    {
        lock (_orders)
        {
            bool cancel = _cancelled.IsCancellationRequested && SourceMachine.Next(_state, SourceEvent.CancelRequested) is not null;
            Happened<SourceEvent> now = cancel ? new(SourceEvent.CancelRequested, "cancelled by an operator") : happened;
            SourceTransition step = SourceMachine.Next(_state, now.Event)
                ?? throw new InvalidOperationException($"{now.Event} cannot happen to a source in {_state}");
            bool isSaid = step.State == _state && (now.Event == SourceEvent.RecoverOrdered || IsDialOrdered);
            if (step.State != _state)
            {
                // An order is given to a state: what was not heard in it must not be carried out in another.
                _order = NewOrder();
            }

            _state = step.State;
            // An end is announced when the guest is back, or freed, not before: those who wait for it want to use the guest, or its name.
            if (!isSaid && !SourceMachine.IsFinal(_state))
            {
                Announce(now.Why);
            }

            return (step.Actions, now.Why);
        }
    }

    private void Announce(string why)
    {
        _record.Enter(Reported(_state), why);
        DaemonLog.SourceEntered(_logger, _record.Id, _hosted.Name, _state, why);
    }

    /// <summary>Carries out actions in order; gives what came of the last, or Failed when one fails that can be rolled back.</summary>
    private async Task<Happened<SourceEvent>?> PerformAsync(
        ImmutableArray<SourceAction> actions, string why, CancellationToken shutdown)
    {
        Happened<SourceEvent>? happened = null;
        try
        {
            foreach (SourceAction action in actions)
            {
                happened = await PerformAsync(action, why, shutdown).ConfigureAwait(false);
            }

            return happened;
        }
        catch (Exception error) when ((_state is SourceState.PostcopyActive or SourceState.PostcopyPaused) && happened is null)
        {
            // A mistake of this daemon's must not end in a guest that nobody can do anything about.
            DaemonLog.MigrationBroke(_logger, error, _record.Id, _hosted.Name, _state);
            return new(
                _state == SourceState.PostcopyActive ? SourceEvent.LinkLost : SourceEvent.RecoveryGivenUp,
                $"internal error: {error.Message}");
        }
        catch (Exception error) when (SourceMachine.Next(_state, SourceEvent.Failed) is not null)
        {
            return new(
                SourceEvent.Failed,
                error is OperationCanceledException && shutdown.IsCancellationRequested ? "this daemon is stopping" : error.Message);
        }
    }

    private async Task<Happened<SourceEvent>?> PerformAsync(SourceAction action, string why, CancellationToken shutdown)
    {
        switch (action)
        {
            case SourceAction.Prepare:
                using (var stop = CancellationTokenSource.CreateLinkedTokenSource(shutdown, _cancelled.Token))
                {
                    await PrepareAsync(why, stop.Token).ConfigureAwait(false);
                    return new(MigrationPlan.HasPrecopy(_plan.Mode) ? SourceEvent.PrecopyPrepared : SourceEvent.Prepared);
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
                    return new(SourceEvent.Ready);
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
                return await RecoverAsync(why, shutdown).ConfigureAwait(false);

            case SourceAction.AwaitOperator:
                // An operator may take days: others need not wait for that.
                _admission.Leave();
                return await OrderAsync(shutdown).ConfigureAwait(false);

            case SourceAction.ReturnGuest:
                await ReturnGuestAsync(why).ConfigureAwait(false);
                return null;

            case SourceAction.AbortDestination:
                await _destination.TryAbortAsync(why).ConfigureAwait(false);
                return null;

            case SourceAction.FreeGuest:
                await CloseLanesAsync(complete: true).ConfigureAwait(false);
                await _hosted.FreeAwayAsync().ConfigureAwait(false);
                Announce(why);
                return null;

            default:
                throw new ArgumentOutOfRangeException(nameof(action));
        }
    }

    private async Task PrepareAsync(string why, CancellationToken cancellationToken)
    {
        FaultInjection.At("source.prepare");
        bool again = await DropLanesAsync().ConfigureAwait(false);
        if (again)
        {
            await RestAsync(cancellationToken).ConfigureAwait(false);
        }

        PrepareResponse prepared = await _admission.PrepareAsync(_prepare, again, why, cancellationToken).ConfigureAwait(false);
        _compression.Agree(prepared.Compression);
        OutgoingMemory outgoing = Outgoing(new SentPages(_guest.Memory.PageCount));
        UseLanes(await _destination.OpenLanesAsync(prepared, _plan.Lanes, outgoing, cancellationToken).ConfigureAwait(false));
        // While the guest runs: after a crash nobody must take it for lost that has been handed over.
        await _recorded.ConfigureAwait(false);
        if (again)
        {
            _record.Change(migration => migration.Recoveries++);
        }
    }

    private async Task<Happened<SourceEvent>> PrecopyAsync(CancellationToken cancellationToken)
    {
        _precopyBegan = _precopyBegan == 0 ? _time.GetTimestamp() : _precopyBegan;
        _activeSince = _time.GetTimestamp();
        VcpuThrottle? throttle = _plan.AutoConverge && WasRunning ? new VcpuThrottle(_guest) : null;
        var precopy = new SourcePrecopy(_guest, _plan.Precopy, _lanes!, throttle, _record, _time, _precopyBegan);
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
            string why = await precopy.RunAsync(cancellationToken).ConfigureAwait(false);
            if (!_plan.Precopy.IsPure)
            {
                IEnumerable<(long First, long Count)> stale = await precopy.EndAsync(cancellationToken).ConfigureAwait(false);
                FaultInjection.At("source.forget");
                await ForgetAsync(stale, cancellationToken).ConfigureAwait(false);
            }

            _record.Change(migration => migration.Precopy.Ended = why);
            DaemonLog.PrecopyEnded(_logger, _record.Id, _hosted.Name, why);
            return new(SourceEvent.PrecopyEnded);
        }
        catch (Exception lost) when (lost is LinkLostException or Refusal { Why: Because.Unreachable })
        {
            return new(
                SourceEvent.LinkLost,
                $"{lost.Message}. The guest goes on here, untouched; the destination is dialled again, and precopy begins anew");
        }
        finally
        {
            _hosted.IsHeldBack = false;
        }
    }

    /// <exception cref="LinkLostException">
    /// The lanes are lost, or will be seen to be: a destination that notices first gives up, and refuses what is asked after that.
    /// </exception>
    private async Task ForgetAsync(IEnumerable<(long First, long Count)> stale, CancellationToken cancellationToken)
    {
        Task<Exception> lost = _lanes!.Lost;
        Task forgotten = Handover.ForgetAsync(stale, cancellationToken);
        try
        {
            await Task.WhenAny(forgotten, lost).Unwrap().ConfigureAwait(false);
        }
        catch (Refusal) when (!cancellationToken.IsCancellationRequested)
        {
            await Task.WhenAny(lost, Task.Delay(_timeouts.Link, _time, cancellationToken)).ConfigureAwait(false);
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

    private async Task SendStateAsync(CancellationToken cancellationToken)
    {
        if (_precopy is { } precopy)
        {
            Task sent = _plan.Precopy.IsPure
                ? precopy.SendLastAsync(_timeouts.Switchover, cancellationToken)
                : Handover.ForgetAsync(precopy.Stale(), cancellationToken).WaitAsync(_timeouts.Switchover, _time, cancellationToken);
            await sent.ConfigureAwait(false);
        }

        byte[] state = _guest.SaveState();
        _clock.Saved();
        FaultInjection.At("source.state");
        // The guest's own tables are in front, and loading waits for them: pushed, they are there before anybody has to ask.
        _lanes!.StartPush();
        Task loaded = Handover.LoadStateAsync(state, cancellationToken);
        // Loading may need pages: without the lanes the answer would be a deadline away, and the guest stands still.
        if (await Task.WhenAny(loaded, _lanes.Lost).ConfigureAwait(false) != loaded)
        {
            throw await _lanes.Lost.ConfigureAwait(false);
        }

        await loaded.ConfigureAwait(false);
        _clock.Loaded();
    }

    private async Task<Happened<SourceEvent>> SendRunAsync(CancellationToken shutdown)
    {
        try
        {
            FaultInjection.At("source.run-before");
            long answered = await Handover.RunAsync(shutdown).ConfigureAwait(false);
            FaultInjection.At("source.run-after");
            return Confirmed(answered);
        }
        catch (Exception error)
        {
            return new(SourceEvent.RunUnanswered, $"the destination has not said whether the guest runs there: {error.Message}");
        }
    }

    private Task<Happened<SourceEvent>?> AskOutcomeAsync(CancellationToken shutdown) => UnlessOrderedAsync(
        async stop => await _destination.AskOutcomeAsync(stop).ConfigureAwait(false) == Outcome.Running
            ? Confirmed(Stopwatch.GetTimestamp())
            : new(SourceEvent.NeverStarted, "the destination never started the guest"),
        Timeout.InfiniteTimeSpan,
        shutdown);

    private Happened<SourceEvent> Confirmed(long at)
    {
        _clock.Running(at);
        _record.MarkSwitchover();
        if (WasRunning)
        {
            _record.Change(migration => migration.DowntimeUs = (ulong)_clock.Downtime.TotalMicroseconds);
        }

        DaemonLog.SwitchedOver(
            _logger, _record.Id, _hosted.Name, _clock.Downtime.TotalMilliseconds, _clock.Pause.TotalMilliseconds,
            _clock.Save.TotalMilliseconds, _clock.Load.TotalMilliseconds, _clock.Run.TotalMilliseconds);
        _hosted.RunsElsewhere();
        return new(SourceEvent.RunConfirmed);
    }

    private async Task ReturnGuestAsync(string why)
    {
        if (WasRunning)
        {
            _guest.Resume();
        }

        _precopy?.Dispose();
        // Until no lane thread reads its memory, nobody may delete it.
        await CloseLanesAsync(complete: false).ConfigureAwait(false);
        _hosted.Return();
        Announce(why);
    }
}
