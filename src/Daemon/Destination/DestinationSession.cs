using System.Security.Cryptography;
using Google.Protobuf;
using Microsoft.Extensions.Logging;
using MigrationD.Daemon.Faults;
using MigrationD.Daemon.Logging;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Notation;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.Session;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Destination;

/// <summary>
/// One guest on its way in: carries out what <see cref="DestinationMachine"/> says. Control calls come from Kestrel, pages and what is said
/// at the switchover from the lane threads, faults from the fault thread; they meet in the state and in the received bitmap only. What is
/// left at the end is the answer to whoever asks again.
/// </summary>
internal sealed class DestinationSession : IHandoverTarget
{
    private const int SettleAttempts = 3;

    private readonly Lock _lock = new();
    private readonly MigrationRecord _record;
    private readonly ILogger _logger;
    private readonly SemaphoreSlim _oneRecovery = new(1);
    private readonly Timer _sourceExpiry;
    private readonly TimeSpan _patienceForLanes;
    private readonly TimeSpan _patience;
    private readonly TimeSpan _recoveryTimeout;
    private readonly TaskCompletionSource _allPages = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _started = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Timer _expiry;
    private volatile TaskCompletionSource _lost = NewSignal();
    private volatile bool _lanesOpened;
    private volatile byte[] _secret = NewSecret();
    private DestinationState _state = DestinationState.Prepared;
    private IncomingGuest? _incoming;
    private string _reason = "";

    /// <summary>
    /// A session that is prepared; given up by itself when the source does not open lanes within <paramref name="patienceForLanes"/>, or does
    /// not start the guest within <paramref name="patience"/> after that, and declared lost when a source that has lost the link does not come
    /// back within <paramref name="recoveryTimeout"/>.
    /// </summary>
    public DestinationSession(
        IncomingGuest incoming, MigrationRecord record, TimeSpan patienceForLanes, TimeSpan patience, TimeSpan recoveryTimeout, ILogger logger)
    {
        _incoming = incoming;
        Compression = incoming.Lanes.Compression;
        HasHandoverLane = incoming.Lanes.HasHandover;
        _record = record;
        _patienceForLanes = patienceForLanes;
        _patience = patience;
        _recoveryTimeout = recoveryTimeout;
        _logger = logger;
        incoming.Lanes.Lost += OnLaneLost;
        incoming.Lanes.Opened += OnLanesOpened;
        incoming.Lanes.AllPagesReceived += () => _allPages.TrySetResult();
        record.Follow(() => Figures(incoming), () => RamMap.Of(incoming.Memory));
        // What follows stays with what is remembered of the session, so it must know no local of this method: it would keep the guest as well.
        _ = FinishWhenCompleteAsync();
        _sourceExpiry = new Timer(OnSourceExpired, null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _expiry = new Timer(OnExpired, null, patienceForLanes, Timeout.InfiniteTimeSpan);
    }

    /// <summary>How this session is called on the wire; random.</summary>
    public string Id { get; } = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));

    public string MigrationId => _record.Id;

    /// <summary>The name of the guest that came, or was to come.</summary>
    public string GuestName => _record.Guest;

    public ReadOnlySpan<byte> Secret => _secret;

    /// <summary>How the source may pack what it pushes.</summary>
    public PageCompression Compression { get; }

    /// <summary>Whether what is said at the switchover comes on a lane.</summary>
    public bool HasHandoverLane { get; }

    /// <summary>Whether nothing can change any more.</summary>
    public bool IsEnded => _ended.Task.IsCompleted;

    /// <summary>The lanes to serve.</summary>
    /// <exception cref="Refusal">Gone: the session has ended.</exception>
    public DestinationLanes Lanes => _incoming?.Lanes ?? throw new Refusal(
        Because.Gone, $"the session of guest '{_record.Guest}' has ended");

    /// <summary>Whether <paramref name="secret"/> is this session's; takes the same time whatever it is.</summary>
    public bool IsSecret(ReadOnlySpan<byte> secret) => CryptographicOperations.FixedTimeEquals(secret, _secret);

    /// <summary>Loads the device state on a thread of its own; when it returns, the guest could run now.</summary>
    public Task LoadStateAsync(ReadOnlyMemory<byte> state) => LoadStateAsync(state, (incoming, load) => incoming.OnLoader(load));

    /// <inheritdoc/>
    public void LoadState(ReadOnlyMemory<byte> state) => LoadStateAsync(state, (_, load) =>
    {
        load();
        return Task.CompletedTask;
    }).GetAwaiter().GetResult();

    private async Task LoadStateAsync(ReadOnlyMemory<byte> state, Func<IncomingGuest, Action, Task> run)
    {
        IncomingGuest incoming;
        lock (_lock)
        {
            RefuseUnless(Apply(DestinationEvent.LoadStateReceived), DestinationAction.LoadState, "load device state");
            _expiry.Change(_patience, Timeout.InfiniteTimeSpan);
            incoming = _incoming!;
            incoming.BeginLoading();
        }

        try
        {
            await run(incoming, () => incoming.Load(state)).ConfigureAwait(false);
        }
        catch (Exception error)
        {
            DaemonLog.DestinationStepFailed(_logger, error, _record.Id, _record.Guest, "loading the device state");
            await GiveUpAsync(DestinationEvent.Failed, $"its device state cannot be loaded: {error.Message}").ConfigureAwait(false);
            throw new Refusal(
                Because.NotNow, $"guest '{_record.Guest}' cannot start on this node: {_reason}", error);
        }

        FaultInjection.At("destination.loaded");
        RefuseUnless(Apply(DestinationEvent.Loaded), DestinationAction.AnswerReady, "load device state");
    }

    /// <inheritdoc/>
    public void Forget(IReadOnlyList<ulong> staleRuns)
    {
        FaultInjection.At("destination.forget");
        lock (_lock)
        {
            if (_state != DestinationState.Prepared || _incoming?.Lanes.Precopy is not { } precopy)
            {
                throw new Refusal(
                    Because.NotNow,
                    $"forget pages in migration {_record.Id} of guest '{_record.Guest}': the session is in state {_state} here"
                    + (_incoming?.Lanes.Precopy is null ? ", without precopy" : ""));
            }

            precopy.Forget(staleRuns);
        }
    }

    /// <inheritdoc/>
    public void Run()
    {
        DestinationTransition step = Apply(DestinationEvent.RunReceived);
        if (step.Actions.Contains(DestinationAction.RunGuest))
        {
            _expiry.Dispose();
            _incoming!.Arrive();
            _record.NoteSwitchover();
            _started.SetResult();
            FaultInjection.At("destination.running");
        }

        RefuseUnless(step, DestinationAction.AnswerRunning, "run");
    }

    /// <summary>Whether the guest is here. An answer "never started" closes the door for good.</summary>
    public async Task<Outcome> AskOutcomeAsync()
    {
        DestinationTransition step = Apply(DestinationEvent.OutcomeAsked, "the source asked before it had been started here");
        await DiscardIfToldAsync(step).ConfigureAwait(false);
        if (step.Actions.Contains(DestinationAction.AnswerRunning))
        {
            return Outcome.Running;
        }

        RefuseUnless(step, DestinationAction.AnswerNeverStarted, "say the outcome");
        return Outcome.NeverStarted;
    }

    /// <summary>
    /// Ends what is left of the lanes and says which pages are here. From then on only the secret in the answer opens lanes, so that a
    /// connection that was dialled before cannot take the place of a newer one.
    /// </summary>
    public async Task<RecoverResponse> RecoverAsync()
    {
        await _oneRecovery.WaitAsync().ConfigureAwait(false);
        try
        {
            IncomingGuest? incoming = _incoming;
            DestinationTransition step = Apply(DestinationEvent.RecoverAsked);
            RefuseUnless(step, DestinationAction.AnswerReceived, "recover");
            if (_state == DestinationState.Completed || incoming is null)
            {
                return new RecoverResponse { Complete = true };
            }

            await incoming.Lanes.CloseAsync("the source opens new lanes").ConfigureAwait(false);
            FaultInjection.At("destination.recover");
            _secret = NewSecret();
            return new RecoverResponse
            {
                Secret = ByteString.CopyFrom(_secret),
                Received = ReceivedBitmap.Pack(incoming.Memory.Received.ToBytes()),
            };
        }
        finally
        {
            _oneRecovery.Release();
        }
    }

    /// <summary>The operator says that the source will not come back.</summary>
    public void GiveUp()
    {
        if (!DeclareLost("an operator gave the source up"))
        {
            throw new Refusal(
                Because.NotNow,
                $"give up the source of migration {MigrationId} of guest '{_record.Guest}': it is {Words.Of(Reported(_state))} here; only the "
                + "source of a migration that is postcopy-paused can be given up");
        }
    }

    /// <summary>The source gives up.</summary>
    public async Task AbortAsync(string reason)
    {
        DestinationTransition step = Apply(DestinationEvent.AbortReceived, $"the source gave up: {reason}");
        if (step.Actions.Contains(DestinationAction.Refuse))
        {
            throw new Refusal(
                Because.NotNow, $"abort migration {_record.Id}: guest '{_record.Guest}' runs here already");
        }

        await DiscardIfToldAsync(step).ConfigureAwait(false);
    }

    /// <summary>Ends when every page is here and nothing of the migration is left but its record.</summary>
    public async Task<PlacementCounters> CompleteAsync(CancellationToken cancel)
    {
        await _ended.Task.WaitAsync(cancel).ConfigureAwait(false);
        return _record.Snapshot().Placement;
    }

    /// <summary>The daemon stops: gives the guest up if it has not run here, and otherwise waits until its pages are here or lost.</summary>
    public async Task FinishAsync()
    {
        await GiveUpAsync(DestinationEvent.AbortReceived, "this daemon is stopping").ConfigureAwait(false);
        await Task.WhenAny(_ended.Task, _lost.Task).ConfigureAwait(false);
    }

    /// <summary>A newer Prepare of the same migration takes this one's place.</summary>
    public async Task ReplaceAsync()
    {
        await GiveUpAsync(DestinationEvent.AbortReceived, "the source prepared anew").ConfigureAwait(false);
        if (!DestinationMachine.OwnsGuest(_state))
        {
            // It may have given up by itself before, and be at it still: until that is done the guest has its name and its memory.
            await ((Task)_ended.Task).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

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

    private DestinationTransition Apply(DestinationEvent happened, string reason = "")
    {
        lock (_lock)
        {
            DestinationTransition step = DestinationMachine.Next(_state, happened);
            if (step.Actions.Contains(DestinationAction.Revive))
            {
                // Here, whatever led to it: nobody may declare it lost again in between.
                Revive(_incoming!);
            }

            if (step.State != _state)
            {
                OnLeaving(_state, step.State);
                _state = step.State;
                _reason = reason;
                // An end is announced when there is nothing left to do: whoever waits for it wants to use the guest, or its name.
                if (!DestinationMachine.IsFinal(step.State))
                {
                    Announce();
                }
            }

            return step;
        }
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private static byte[] NewSecret() => RandomNumberGenerator.GetBytes(32);

    private static LiveFigures Figures(IncomingGuest incoming) => new(
        incoming.Lanes.BytesReceived, incoming.Memory.Received.Count, PlacementMessages.ToMessage(incoming.Memory.Snapshot()));

    /// <summary>While the link is lost the clock runs, attempts to restore it included.</summary>
    private void OnLeaving(DestinationState from, DestinationState to)
    {
        bool wasWaiting = from is DestinationState.PostcopyPaused or DestinationState.PostcopyRecover;
        bool waits = to is DestinationState.PostcopyPaused or DestinationState.PostcopyRecover;
        if (waits != wasWaiting)
        {
            _sourceExpiry.Change(waits ? _recoveryTimeout : Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }

        if ((wasWaiting || from == DestinationState.Lost) && to == DestinationState.PostcopyActive)
        {
            _record.CountRecovery();
        }
    }

    /// <summary>The guest was lost and goes on.</summary>
    private void Revive(IncomingGuest incoming)
    {
        _lost = NewSignal();
        _record.Revive(() => Figures(incoming), () => RamMap.Of(incoming.Memory));
        incoming.Revive();
    }

    private bool DeclareLost(string why)
    {
        // Recovery may be under way on another thread: the machine says which of the two comes first.
        if (_incoming is not { } incoming)
        {
            return false;
        }

        long lost = incoming.Memory.Received.Total - incoming.Memory.Received.Count;
        string reason = $"{why}, and {lost} of {incoming.Memory.Received.Total} pages of guest '{_record.Guest}' are lost with it. The guest "
            + $"stands still and its memory is kept: save it with 'migrationd guest dump {_record.Guest} FILE', end it with "
            + $"'migrationd guest delete {_record.Guest}'. If the source comes back, 'migrationd migration recover {MigrationId}' there "
            + "makes the guest go on";
        lock (_lock)
        {
            _record.SetPagesLost(lost);
            if (!Apply(DestinationEvent.SourceGone, reason).Actions.Contains(DestinationAction.DeclareLost))
            {
                return false;
            }

            incoming.Lose(reason, ForgetLostAsync);
            _lost.TrySetResult();
        }

        return true;
    }

    private async Task ForgetLostAsync()
    {
        DestinationTransition step = Apply(DestinationEvent.Deleted, "the lost guest was deleted");
        // The source may have come back since: then the guest is not lost any more, and must not be forgotten either.
        RefuseUnless(step, DestinationAction.Discard, "delete the guest");
        await DiscardIfToldAsync(step).ConfigureAwait(false);
    }

    private void Announce()
    {
        _record.Enter(Reported(_state), _reason);
        DaemonLog.DestinationEntered(_logger, _record.Id, _record.Guest, _state, _reason);
    }

    private void RefuseUnless(DestinationTransition step, DestinationAction expected, string what)
    {
        if (!step.Actions.Contains(expected))
        {
            throw new Refusal(
                Because.NotNow,
                $"{what} in migration {_record.Id} of guest '{_record.Guest}': the session is in state {step.State} here"
                + (_reason.Length == 0 ? "" : $" ({_reason})"));
        }
    }

    private void OnSourceExpired(object? state) =>
        DeclareLost($"the source did not come back within {_recoveryTimeout.TotalSeconds:0.#} s");

    private void OnExpired(object? state) => OnLost(
        DestinationEvent.AbortReceived,
        _lanesOpened
            ? $"the source did not start the guest within {_patience.TotalSeconds:0} s"
            : $"the source did not open its lanes within {_patienceForLanes.TotalSeconds:0} s");

    private void OnLanesOpened()
    {
        lock (_lock)
        {
            _lanesOpened = true;
            if (!DestinationMachine.OwnsGuest(_state) && !DestinationMachine.IsFinal(_state))
            {
                // From now on a source that is gone is noticed by its lanes. Precopy takes as long as it takes.
                bool precopy = _incoming?.Lanes.Precopy is not null;
                _expiry.Change(precopy ? Timeout.InfiniteTimeSpan : _patience, Timeout.InfiniteTimeSpan);
                if (precopy && _state == DestinationState.Prepared)
                {
                    _record.Enter(MigrationState.PrecopyActive);
                }
            }
        }

        Apply(DestinationEvent.LinkRestored);
        // The last page may have come while the guest was given up, when nothing could end well.
        if (_allPages.Task.IsCompleted && _started.Task.IsCompleted)
        {
            FinishIfComplete();
        }
    }

    private void OnLaneLost(string lane, Exception error)
    {
        DaemonLog.LaneLost(_logger, _record.Id, _record.Guest, lane, error.Message);
        OnLost(
            DestinationEvent.LinkLost,
            $"the {lane} lane is lost: {error.Message}. The guest goes on with the pages that are here, and the source is waited for");
    }

    private async void OnLost(DestinationEvent happened, string reason) => await GiveUpAsync(happened, reason).ConfigureAwait(false);

    /// <summary>Gives the guest up if it has not run here. Never throws: nobody is there to catch.</summary>
    private async Task GiveUpAsync(DestinationEvent happened, string reason)
    {
        try
        {
            await DiscardIfToldAsync(Apply(happened, reason)).ConfigureAwait(false);
        }
        catch (Exception error)
        {
            DaemonLog.DestinationStepFailed(_logger, error, _record.Id, _record.Guest, "discarding the incoming guest");
        }
    }

    private async Task DiscardIfToldAsync(DestinationTransition step)
    {
        if (!step.Actions.Contains(DestinationAction.Discard))
        {
            return;
        }

        await _expiry.DisposeAsync().ConfigureAwait(false);
        await _sourceExpiry.DisposeAsync().ConfigureAwait(false);
        try
        {
            FaultInjection.At("destination.discard");
            await _incoming!.DiscardAsync(_reason).ConfigureAwait(false);
            Announce();
            _incoming = null;
        }
        finally
        {
            _ended.TrySetException(new Refusal(
                Because.Gone, $"migration {_record.Id} of guest '{_record.Guest}' ended here: {_reason}"));
        }
    }

    private async Task FinishWhenCompleteAsync()
    {
        // A small guest may be all here before it runs.
        await Task.WhenAll(_allPages.Task, _started.Task).ConfigureAwait(false);
        FinishIfComplete();
    }

    /// <summary>Every page is here, and the guest has run. Does nothing more than once, or while the source is given up.</summary>
    private async void FinishIfComplete()
    {
        try
        {
            if (_incoming is not { } incoming || !Apply(DestinationEvent.AllPagesReceived).Actions.Contains(DestinationAction.Finish))
            {
                return;
            }

            await _sourceExpiry.DisposeAsync().ConfigureAwait(false);
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
    private async Task SettleAsync(IncomingGuest incoming)
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
}
