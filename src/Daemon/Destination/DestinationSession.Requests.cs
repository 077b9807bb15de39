using Google.Protobuf;
using MigrationD.Daemon.Faults;
using MigrationD.Daemon.Logging;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.StateMachines;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Destination;

/// <content>What the source asks, on the handover lane or by calls, and what operators and the daemon itself order.</content>
internal sealed partial class DestinationSession
{
    public void Forget(IReadOnlyList<ulong> staleRuns)
    {
        FaultInjection.At("destination.forget");
        lock (_lock)
        {
            if (_state != DestinationState.Prepared || _incoming is not { HasPrecopy: true } incoming)
            {
                throw new Refusal(
                    Because.NotNow,
                    $"forget pages in migration {_record.Id} of guest '{_record.Guest}': the session is in state {_state} here"
                    + (_incoming is { HasPrecopy: true } ? "" : ", without precopy"));
            }

            incoming.Forget(staleRuns);
        }
    }

    /// <summary>Loads the device state on a thread of its own; when it returns, the guest could run now.</summary>
    public async Task LoadStateAsync(ReadOnlyMemory<byte> state)
    {
        IIncomingGuest incoming = BeginLoading();
        try
        {
            await incoming.OnLoader(() => incoming.Load(state)).ConfigureAwait(false);
        }
        catch (Exception error)
        {
            await CannotLoad(error).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            throw NotLoaded(error);
        }

        EndLoading();
    }

    public void LoadState(ReadOnlyMemory<byte> state)
    {
        IIncomingGuest incoming = BeginLoading();
        try
        {
            incoming.Load(state);
        }
        catch (Exception error)
        {
            // The lane's own thread may wait: what the source does after this refusal may need the guest's name and its memory.
            Task.WaitAny(CannotLoad(error));
            throw NotLoaded(error);
        }

        EndLoading();
    }

    public void Run()
    {
        Handled handled = Handle(new(DestinationEvent.RunReceived));
        if (handled.Tells(DestinationAction.RunGuest))
        {
            FaultInjection.At("destination.running");
        }

        RefuseUnless(handled, DestinationAction.AnswerRunning, "run");
    }

    /// <summary>Says whether the guest is here. An answer "never started" closes the door for good.</summary>
    public async Task<Outcome> AskOutcomeAsync()
    {
        Handled handled = Handle(new(DestinationEvent.OutcomeAsked, "the source asked before it had been started here"));
        await handled.Done.ConfigureAwait(false);
        if (handled.Tells(DestinationAction.AnswerRunning))
        {
            return Outcome.Running;
        }

        RefuseUnless(handled, DestinationAction.AnswerNeverStarted, "say the outcome");
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
            IIncomingGuest? incoming = _incoming;
            Handled handled = Handle(new(DestinationEvent.RecoverAsked));
            RefuseUnless(handled, DestinationAction.AnswerReceived, "recover");
            if (handled.Step.State == DestinationState.Completed || incoming is null)
            {
                return new RecoverResponse { Complete = true };
            }

            await handled.Done.ConfigureAwait(false);
            FaultInjection.At("destination.recover");
            _secret = NewSecret();
            return new RecoverResponse
            {
                Secret = ByteString.CopyFrom(_secret),
                Received = ReceivedBitmap.Pack(incoming.ReceivedBitmap()),
            };
        }
        finally
        {
            _oneRecovery.Release();
        }
    }

    /// <summary>Gives the source up by an operator's order: it will not come back.</summary>
    public void GiveUp()
    {
        if (!Handle(new(DestinationEvent.SourceGone, "an operator gave the source up")).Tells(DestinationAction.DeclareLost))
        {
            throw new Refusal(
                Because.NotNow,
                $"give up the source of migration {MigrationId} of guest '{_record.Guest}': it is {Words.Of(Reported(_state))} here; only "
                + "the source of a migration that is postcopy-paused can be given up");
        }
    }

    /// <summary>Ends the session, as the source gives up.</summary>
    public async Task AbortAsync(string reason)
    {
        Handled handled = Handle(new(DestinationEvent.AbortReceived, $"the source gave up: {reason}"));
        if (handled.Tells(DestinationAction.Refuse))
        {
            throw new Refusal(Because.NotNow, $"abort migration {_record.Id}: guest '{_record.Guest}' runs here already");
        }

        await handled.Done.ConfigureAwait(false);
    }

    /// <summary>Ends when every page is here and nothing of the migration is left but its record.</summary>
    public async Task<PlacementCounters> CompleteAsync(CancellationToken cancellationToken)
    {
        await _ended.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
        return _record.Snapshot().Placement;
    }

    /// <summary>
    /// Gives the guest up, as the daemon stops, if it has not run here; otherwise waits until its pages are here or lost.
    /// </summary>
    public async Task FinishAsync()
    {
        await Handle(new(DestinationEvent.AbortReceived, "this daemon is stopping")).Done
            .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        for (Task changed = _record.Changed; !IsEnded && !IsLost; changed = _record.Changed)
        {
            await Task.WhenAny(_ended.Task, changed).ConfigureAwait(false);
        }
    }

    /// <summary>Ends the session for a newer Prepare of the same migration to take its place.</summary>
    public async Task ReplaceAsync()
    {
        await Handle(new(DestinationEvent.AbortReceived, "the source prepared anew")).Done
            .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (!DestinationMachine.OwnsGuest(_state))
        {
            // It may have given up by itself before, and be at it still: until that is done the guest has its name and its memory.
            await ((Task)_ended.Task).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private bool IsLost
    {
        get
        {
            lock (_lock)
            {
                return _state == DestinationState.Lost;
            }
        }
    }

    private IIncomingGuest BeginLoading()
    {
        lock (_lock)
        {
            RefuseUnless(Handle(new(DestinationEvent.LoadStateReceived)), DestinationAction.LoadState, "load device state");
            return _incoming!;
        }
    }

    private void EndLoading()
    {
        FaultInjection.At("destination.loaded");
        RefuseUnless(Handle(new(DestinationEvent.Loaded)), DestinationAction.AnswerReady, "load device state");
    }

    /// <summary>Gives up a guest that cannot be loaded; ends when nothing of it is left here.</summary>
    private Task CannotLoad(Exception error)
    {
        DaemonLog.DestinationStepFailed(_logger, error, _record.Id, _record.Guest, "loading the device state");
        return Handle(new(DestinationEvent.Failed, $"its device state cannot be loaded: {error.Message}")).Done;
    }

    private Refusal NotLoaded(Exception error) =>
        new(Because.NotNow, $"guest '{_record.Guest}' cannot start on this node: {_why}", error);

    private void RefuseUnless(Handled handled, DestinationAction expected, string what)
    {
        if (!handled.Tells(expected))
        {
            throw new Refusal(
                Because.NotNow,
                $"{what} in migration {_record.Id} of guest '{_record.Guest}': the session is in state {handled.Step.State} here"
                + (_why.Length == 0 ? "" : $" ({_why})"));
        }
    }
}
