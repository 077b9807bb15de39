using System.Security.Cryptography;
using MigrationD.Daemon.Faults;
using MigrationD.Daemon.Logging;
using MigrationD.Daemon.Migrations;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.StateMachines;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Destination;

/// <summary>
/// One guest on its way in: carries out what <see cref="DestinationMachine"/> says, and tells it what came of it. Control calls come from
/// Kestrel, pages and what is said at the switchover from the lane threads, faults from the fault thread; what happens on any of them
/// queues up at one lock. What is left at the end is the answer to a source that asks again.
/// </summary>
/// <remarks>
/// Each event is taken by the thread that brings it: an order at the switchover must not wait for another thread to be woken. So no action
/// takes long; one that would is begun, and the thread that brought the event waits for its end, or none does.
/// </remarks>
internal sealed partial class DestinationSession : IHandoverTarget
{
    private const int SettleAttempts = 3;

    private readonly Lock _lock = new();
    private readonly MigrationRecord _record;
    private readonly DestinationPatience _patience;
    private readonly ILogger _logger;
    private readonly Deadline _deadline;
    private readonly SemaphoreSlim _oneRecovery = new(1);
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile byte[] _secret = NewSecret();
    private volatile IIncomingGuest? _incoming;
    private DestinationState _state = DestinationState.Prepared;
    private string _why = "";

    /// <summary>
    /// A session that is prepared; given up by itself when the source does not open lanes or does not start the guest for as long as
    /// <paramref name="patience"/> says, and declared lost when a source that has lost the link does not come back for as long.
    /// </summary>
    public DestinationSession(
        IIncomingGuest incoming, MigrationRecord record, DestinationPatience patience, TimeProvider time, ILogger logger)
    {
        _incoming = incoming;
        Compression = incoming.Compression;
        HasHandoverLane = incoming.HasHandoverLane;
        _record = record;
        _patience = patience;
        _logger = logger;
        _deadline = new Deadline(time, _lock, HandleUnattended);
        incoming.LaneLost += OnLaneLost;
        incoming.LanesOpened += OnLanesOpened;
        incoming.AllPagesReceived += OnAllPagesReceived;
        record.ReadFrom(incoming.Figures, incoming.Map);
        lock (_lock)
        {
            _deadline.Set(
                patience.Lanes,
                new(DestinationEvent.AbortReceived, $"the source did not open its lanes within {patience.Lanes.TotalSeconds:0} s"));
        }
    }

    /// <summary>The name of this session on the wire; random.</summary>
    public string Id { get; } = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));

    public string MigrationId => _record.Id;

    /// <summary>The name of the guest that came, or was to come.</summary>
    public string GuestName => _record.Guest;

    public ReadOnlySpan<byte> Secret => _secret;

    public PageCompression Compression { get; }

    public bool HasHandoverLane { get; }

    /// <summary>Whether nothing can change any more.</summary>
    public bool IsEnded => _ended.Task.IsCompleted;

    /// <summary>Whether <paramref name="secret"/> is this session's; takes the same time whatever it is.</summary>
    public bool IsSecret(ReadOnlySpan<byte> secret) => CryptographicOperations.FixedTimeEquals(secret, _secret);

    /// <summary>Serves one lane on the lane's own thread until it ends.</summary>
    /// <exception cref="Refusal">Gone: the session has ended. Anything else: there is no such lane now.</exception>
    public void Serve(LaneCall call) =>
        (_incoming ?? throw new Refusal(Because.Gone, $"the session of guest '{_record.Guest}' has ended")).Serve(call, this);

    private static MigrationState Reported(DestinationState state) => state switch
    {
        DestinationState.Prepared => MigrationState.Setup,
        DestinationState.Loading or DestinationState.Ready => MigrationState.Device,
        DestinationState.PostcopyActive => MigrationState.PostcopyActive,
        DestinationState.PostcopyPaused => MigrationState.PostcopyPaused,
        DestinationState.PostcopyRecover => MigrationState.PostcopyRecover,
        DestinationState.Completed => MigrationState.Completed,
        DestinationState.NeverStarted or DestinationState.Lost or DestinationState.Deleted => MigrationState.Failed,
        _ => throw new ArgumentOutOfRangeException(nameof(state)),
    };

    private static byte[] NewSecret() => RandomNumberGenerator.GetBytes(32);

    /// <summary>Handles one event: takes the step that follows, and its actions in order.</summary>
    private Handled Handle(Happened<DestinationEvent> happened)
    {
        lock (_lock)
        {
            DestinationTransition step = Step(happened);
            Task done = Task.CompletedTask;
            foreach (DestinationAction action in step.Actions)
            {
                done = Perform(action) ?? done;
            }

            return new Handled(step, done);
        }
    }

    /// <summary>Handles an event that nobody waits for. Never throws: nobody is there to catch.</summary>
    private void HandleUnattended(Happened<DestinationEvent> happened)
    {
        try
        {
            Handle(happened);
        }
        catch (Exception error)
        {
            DaemonLog.DestinationStepFailed(_logger, error, _record.Id, _record.Guest, $"taking {happened.Event}");
        }
    }

    /// <summary>Takes the step that follows, and announces the state that it leads to.</summary>
    private DestinationTransition Step(Happened<DestinationEvent> happened)
    {
        DestinationState from = _state;
        DestinationTransition step = DestinationMachine.Next(from, happened.Event);
        if (step.State == from)
        {
            return step;
        }

        _state = step.State;
        _why = step.State == DestinationState.Lost ? CountLost(happened.Why) : happened.Why;
        SetDeadline(from);
        if (from == DestinationState.Lost && !DestinationMachine.IsFinal(_state))
        {
            _record.Revive(_incoming!.Figures, _incoming!.Map);
        }

        if (_state == DestinationState.PostcopyActive && (IsWaiting(from) || from == DestinationState.Lost))
        {
            _record.Change(migration => migration.Recoveries++);
        }

        // An end is announced when there is nothing left to do: those who wait for it want to use the guest, or its name.
        if (!DestinationMachine.IsFinal(_state))
        {
            Announce();
        }

        return step;
    }

    private void Announce()
    {
        _record.Enter(Reported(_state), _why);
        DaemonLog.DestinationEntered(_logger, _record.Id, _record.Guest, _state, _why);
    }

    /// <summary>Sets the deadline of a state. While the link is lost the clock runs, attempts to restore it included.</summary>
    private void SetDeadline(DestinationState from)
    {
        if (_state == DestinationState.Loading)
        {
            AwaitRun();
        }
        else if (IsWaiting(_state) && !IsWaiting(from))
        {
            _deadline.Set(
                _patience.Return,
                new(DestinationEvent.SourceGone, $"the source did not come back within {_patience.Return.TotalSeconds:0.#} s"));
        }
        else if (_state != DestinationState.Ready && !IsWaiting(_state))
        {
            _deadline.Lift();
        }
    }

    private static bool IsWaiting(DestinationState state) => state is DestinationState.PostcopyPaused or DestinationState.PostcopyRecover;

    private void AwaitRun() => _deadline.Set(
        _patience.Run, new(DestinationEvent.AbortReceived, $"the source did not start the guest within {_patience.Run.TotalSeconds:0} s"));

    /// <summary>Says what is lost with the source, in words.</summary>
    private string CountLost(string why)
    {
        long total = _incoming!.PagesTotal;
        long lost = total - _incoming.PagesReceived;
        _record.SetPagesLost(lost);
        return $"{why}, and {lost} of {total} pages of guest '{_record.Guest}' are lost with it. The guest "
            + $"stands still and its memory is kept: save it with 'migrationd guest dump {_record.Guest} FILE', end it with "
            + $"'migrationd guest delete {_record.Guest}'. If the source comes back, 'migrationd migration recover {MigrationId}' there "
            + "makes the guest go on";
    }

    /// <summary>Carries out one action, or begins it: then the task ends with the action.</summary>
    private Task? Perform(DestinationAction action)
    {
        IIncomingGuest? incoming = _incoming;
        switch (action)
        {
            case DestinationAction.LoadState:
                // It may wait for pages, so who brought the state loads it, on a thread that may.
                incoming!.BeginLoading();
                return null;

            case DestinationAction.RunGuest:
                incoming!.Arrive();
                _record.MarkSwitchover();
                if (IsAllHere(incoming))
                {
                    // A small guest may be all here before it runs. Not on this thread: the answer to Run is waited for.
                    _ = Task.Run(OnAllPagesReceived);
                }

                return null;

            case DestinationAction.AnswerReceived when _state != DestinationState.Completed:
                return incoming!.CloseLanesAsync("the source opens new lanes");

            case DestinationAction.DeclareLost:
                incoming!.Lose(_why, ForgetLostAsync);
                return null;

            case DestinationAction.Revive:
                incoming!.Revive();
                return null;

            case DestinationAction.Discard:
                return Task.Run(() => DiscardAsync(incoming!));

            case DestinationAction.Finish:
                return Task.Run(() => FinishAsync(incoming!));

            case DestinationAction.AnswerReady or DestinationAction.AnswerRunning or DestinationAction.AnswerNeverStarted
                or DestinationAction.AnswerReceived or DestinationAction.Refuse:
                // Who asked finds the answer in the step.
                return null;

            default:
                throw new ArgumentOutOfRangeException(nameof(action));
        }
    }

    private static bool IsAllHere(IIncomingGuest incoming) => incoming.PagesReceived == incoming.PagesTotal;

    private void OnLaneLost(string lane, Exception error)
    {
        DaemonLog.LaneLost(_logger, _record.Id, _record.Guest, lane, error.Message);
        HandleUnattended(new(
            DestinationEvent.LinkLost,
            $"the {lane} lane is lost: {error.Message}. The guest goes on with the pages that are here, and the source is waited for"));
    }

    private void OnLanesOpened()
    {
        lock (_lock)
        {
            // Not later: a state that is on its way already has its own deadline.
            if (_state == DestinationState.Prepared)
            {
                AwaitSwitchover();
            }

            Handle(new(DestinationEvent.LinkRestored));
            // The last page may have come while the guest was given up, when nothing could end well.
            if (_incoming is { } incoming && IsAllHere(incoming))
            {
                Handle(new(DestinationEvent.AllPagesReceived));
            }
        }
    }

    private void OnAllPagesReceived() => HandleUnattended(new(DestinationEvent.AllPagesReceived));

    /// <summary>Lets a source that is gone be noticed by its lanes from now on. Precopy takes as long as it takes.</summary>
    private void AwaitSwitchover()
    {
        if (_incoming is not { HasPrecopy: true })
        {
            AwaitRun();
            return;
        }

        _deadline.Lift();
        _record.Enter(MigrationState.PrecopyActive);
    }

    private async Task ForgetLostAsync()
    {
        Handled handled = Handle(new(DestinationEvent.Deleted, "the lost guest was deleted"));
        // The source may have come back since: then the guest is not lost any more, and must not be forgotten either.
        RefuseUnless(handled, DestinationAction.Discard, "delete the guest");
        await handled.Done.ConfigureAwait(false);
    }

    private async Task DiscardAsync(IIncomingGuest incoming)
    {
        try
        {
            FaultInjection.At("destination.discard");
            await incoming.DiscardAsync(_why).ConfigureAwait(false);
            Announce();
            _incoming = null;
        }
        catch (Exception error)
        {
            DaemonLog.DestinationStepFailed(_logger, error, _record.Id, _record.Guest, "discarding the incoming guest");
            throw;
        }
        finally
        {
            _ended.TrySetException(new Refusal(Because.Gone, $"migration {_record.Id} of guest '{_record.Guest}' ended here: {_why}"));
        }
    }

    /// <summary>Finishes a migration when every page is here and the guest has run.</summary>
    private async Task FinishAsync(IIncomingGuest incoming)
    {
        try
        {
            await SettleAsync(incoming).ConfigureAwait(false);
            Announce();
            _ended.TrySetResult();
            await incoming.CloseAsync().ConfigureAwait(false);
            _incoming = null;
        }
        catch (Exception error)
        {
            DaemonLog.DestinationStepFailed(_logger, error, _record.Id, _record.Guest, "finishing");
            // Every page is here all the same: the source learns that when it asks what to send again, and frees the guest.
            _ended.TrySetException(new Refusal(
                Because.Gone, $"migration {_record.Id} of guest '{_record.Guest}' cannot be finished here: {error.Message}", error));
        }
    }

    /// <summary>
    /// Gives the guest to this node alone. Tried again when it fails: every step of it can be repeated, and a guest that is not settled can
    /// neither be moved on nor deleted.
    /// </summary>
    private async Task SettleAsync(IIncomingGuest incoming)
    {
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                FaultInjection.At("destination.complete");
                await incoming.SettleAsync().ConfigureAwait(false);
                return;
            }
            catch (Exception error) when (attempt < SettleAttempts)
            {
                DaemonLog.DestinationStepFailed(_logger, error, _record.Id, _record.Guest, "settling");
            }
        }
    }

    /// <summary>
    /// What came of an event: the step that was taken, with the answer for who asked; <paramref name="Done"/> ends with what was begun by
    /// it.
    /// </summary>
    private readonly record struct Handled(DestinationTransition Step, Task Done)
    {
        /// <summary>Whether this was told to do or to answer.</summary>
        public bool Tells(DestinationAction action) => Step.Actions.Contains(action);
    }
}

/// <summary>How long a session waits for its source.</summary>
/// <param name="Lanes">For its lanes, once it is prepared.</param>
/// <param name="Run">For Run, once it has lanes; and anew from LoadState on.</param>
/// <param name="Return">For its return, the link being lost.</param>
internal sealed record DestinationPatience(TimeSpan Lanes, TimeSpan Run, TimeSpan Return)
{
    // Between Prepare and Run lie a dial, a pause and a few kilobytes of device state.
    private static readonly TimeSpan BeforeRun = TimeSpan.FromSeconds(60);

    /// <summary>
    /// Reads patience from a migration's timeouts. A source that has lost its last word on the way, or died, leaves a session without lanes
    /// that holds memory and the guest's name. One that lives dials at once, for seconds, and each attempt takes a link timeout at most.
    /// </summary>
    public static DestinationPatience Of(MigrationTimeouts timeouts) => new(4 * timeouts.Link, BeforeRun, timeouts.Recovery);
}
