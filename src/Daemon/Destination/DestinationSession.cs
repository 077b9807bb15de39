using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Threading;
using MigrationD.Guest;
using MigrationD.Guest.Userfault;
using MigrationD.Protocol.Grpc;
using MigrationD.Protocol.Session;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Destination;

/// <summary>
/// One guest on its way in: carries out what <see cref="DestinationMachine"/> says. Control calls come from Kestrel, pages from the lane
/// threads, faults from the fault thread; they meet in the state and in the received bitmap only.
/// </summary>
internal sealed class DestinationSession
{
    private readonly Lock _lock = new();
    private readonly GuestRegistry _registry;
    private readonly HostedGuest _hosted;
    private readonly IGuest _guest;
    private readonly IncomingMemory _incoming;
    private readonly MigrationRecord _record;
    private readonly ILogger _logger;
    private readonly byte[] _secret = RandomNumberGenerator.GetBytes(32);
    private readonly bool _runOnArrival;
    private readonly TaskCompletionSource _allPages = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _started = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Timer _expiry;
    private DestinationState _state = DestinationState.Prepared;
    private Task _loading = Task.CompletedTask;
    private string _reason = "";

    public DestinationSession(
        GuestRegistry registry,
        HostedGuest hosted,
        IGuest guest,
        IncomingMemory incoming,
        DestinationLanes lanes,
        MigrationRecord record,
        bool runOnArrival,
        TimeSpan patience,
        ILogger logger)
    {
        _registry = registry;
        _hosted = hosted;
        _guest = guest;
        _incoming = incoming;
        _record = record;
        _runOnArrival = runOnArrival;
        _logger = logger;
        Lanes = lanes;
        Lanes.Lost += OnLaneLost;
        Lanes.AllPagesReceived += () => _allPages.TrySetResult();
        record.Follow(() => new LiveFigures(Lanes.BytesReceived, incoming.Received.Count, PlacementMessages.ToMessage(incoming.Snapshot())));
        _ = FinishWhenCompleteAsync();
        // A source that prepares and then never comes must not hold the name and the memory for ever.
        _expiry = new Timer(_ => Expire(patience), null, patience, Timeout.InfiniteTimeSpan);
    }

    /// <summary>How this session is called on the wire; random.</summary>
    public string Id { get; } = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));

    public string MigrationId => _record.Id;

    public ReadOnlySpan<byte> Secret => _secret;

    public DestinationLanes Lanes { get; }

    /// <summary>Whether the guest never ran here and never will.</summary>
    public bool IsGivenUp => State == DestinationState.NeverStarted;

    private DestinationState State
    {
        get
        {
            lock (_lock)
            {
                return _state;
            }
        }
    }

    /// <summary>Whether <paramref name="secret"/> is this session's; takes the same time whatever it is.</summary>
    public bool IsSecret(ReadOnlySpan<byte> secret) => CryptographicOperations.FixedTimeEquals(secret, _secret);

    /// <summary>Loads the device state; when it returns, the guest could run now.</summary>
    public async Task LoadStateAsync(ReadOnlyMemory<byte> state)
    {
        lock (_lock)
        {
            RefuseUnless(Apply(DestinationEvent.LoadStateReceived), DestinationAction.LoadState, "load device state");
            // Loading may wait for pages, so it gets a thread; the lanes already serve.
            _loading = DedicatedThread.Start($"load {_hosted.Name}", () => _guest.LoadState(state.Span));
        }

        try
        {
            await _loading.ConfigureAwait(false);
        }
        catch (Exception error)
        {
            DaemonLog.DestinationStepFailed(_logger, error, _record.Id, _hosted.Name, "loading the device state");
            await GiveUpAsync(DestinationEvent.Failed, $"its device state cannot be loaded: {error.Message}").ConfigureAwait(false);
            throw new GrpcException(
                GrpcStatusCode.FailedPrecondition, $"guest '{_hosted.Name}' cannot start on this node: {_reason}", error);
        }

        RefuseUnless(Apply(DestinationEvent.Loaded), DestinationAction.AnswerReady, "load device state");
    }

    /// <summary>Lets the guest run here. From here on it is this node's.</summary>
    public void Run()
    {
        DestinationTransition step = Apply(DestinationEvent.RunReceived);
        if (step.Actions.Contains(DestinationAction.RunGuest))
        {
            _expiry.Dispose();
            _hosted.Arrive(_runOnArrival);
            _started.SetResult();
        }

        RefuseUnless(step, DestinationAction.AnswerRunning, "run");
    }

    /// <summary>Whether the guest is here. An answer "never started" closes the door for good.</summary>
    public async Task<Outcome> AskOutcomeAsync()
    {
        DestinationTransition step = Apply(DestinationEvent.OutcomeAsked, "the source asked before it had been started here");
        await DiscardIfToldAsync(step).ConfigureAwait(false);
        return step.Actions.Contains(DestinationAction.AnswerRunning) ? Outcome.Running : Outcome.NeverStarted;
    }

    /// <summary>The source gives up.</summary>
    public async Task AbortAsync(string reason)
    {
        DestinationTransition step = Apply(DestinationEvent.AbortReceived, $"the source gave up: {reason}");
        if (step.Actions.Contains(DestinationAction.Refuse))
        {
            throw new GrpcException(
                GrpcStatusCode.FailedPrecondition, $"abort migration {_record.Id}: guest '{_hosted.Name}' runs here already");
        }

        await DiscardIfToldAsync(step).ConfigureAwait(false);
    }

    /// <summary>Ends when every page is here and nothing of the migration is left but its record.</summary>
    public async Task<PlacementCounters> CompleteAsync(CancellationToken cancel)
    {
        await _ended.Task.WaitAsync(cancel).ConfigureAwait(false);
        return _record.Snapshot().Placement;
    }

    /// <summary>A newer Prepare of the same migration takes this one's place.</summary>
    public Task ReplaceAsync() => GiveUpAsync(DestinationEvent.AbortReceived, "the source prepared anew");

    private static MigrationState Reported(DestinationState state) => state switch
    {
        DestinationState.Prepared => MigrationState.Setup,
        DestinationState.Loading or DestinationState.Ready => MigrationState.Device,
        DestinationState.PostcopyActive => MigrationState.PostcopyActive,
        DestinationState.PostcopyPaused => MigrationState.PostcopyPaused,
        DestinationState.Completed => MigrationState.Completed,
        DestinationState.NeverStarted => MigrationState.Failed,
        _ => throw new ArgumentOutOfRangeException(nameof(state)),
    };

    private DestinationTransition Apply(DestinationEvent happened, string reason = "")
    {
        lock (_lock)
        {
            DestinationTransition step = DestinationMachine.Next(_state, happened);
            if (step.State != _state)
            {
                _state = step.State;
                _reason = reason;
                // What ends the session is announced when it has ended: see DiscardIfToldAsync and FinishWhenCompleteAsync.
                if (!DestinationMachine.IsFinal(step.State))
                {
                    Announce();
                }
            }

            return step;
        }
    }

    private void Announce()
    {
        _record.Enter(Reported(_state), _reason);
        DaemonLog.DestinationEntered(_logger, _record.Id, _hosted.Name, _state, _reason);
    }

    private void RefuseUnless(DestinationTransition step, DestinationAction expected, string what)
    {
        if (!step.Actions.Contains(expected))
        {
            throw new GrpcException(
                GrpcStatusCode.FailedPrecondition,
                $"{what} in migration {_record.Id} of guest '{_hosted.Name}': the session is in state {step.State} here"
                + (_reason.Length == 0 ? "" : $" ({_reason})"));
        }
    }

    private void OnLaneLost(string lane, Exception error)
    {
        DaemonLog.LaneLost(_logger, _record.Id, _hosted.Name, lane, error.Message);
        _ = GiveUpAsync(DestinationEvent.LinkLost, $"the {lane} lane is lost: {error.Message}");
    }

    private void Expire(TimeSpan patience) =>
        _ = GiveUpAsync(DestinationEvent.AbortReceived, $"the source did not start the guest within {patience.TotalSeconds:0} s");

    private async Task GiveUpAsync(DestinationEvent happened, string reason)
    {
        try
        {
            await DiscardIfToldAsync(Apply(happened, reason)).ConfigureAwait(false);
        }
        catch (Exception error)
        {
            DaemonLog.DestinationStepFailed(_logger, error, _record.Id, _hosted.Name, "discarding the incoming guest");
        }
    }

    private async Task DiscardIfToldAsync(DestinationTransition step)
    {
        if (!step.Actions.Contains(DestinationAction.Discard))
        {
            return;
        }

        await _expiry.DisposeAsync().ConfigureAwait(false);
        await Lanes.AbortAsync(_reason).ConfigureAwait(false);
        // Loading may wait for a page that will never come; it gives up when the machine does. Then nobody is left who could take a
        // missing page for zeros: the memory is made inaccessible before its userfaultfd is closed, and unmapped last.
        _hosted.ForgetIncoming();
        await _loading.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _incoming.Dispose();
        Lanes.Dispose();
        _guest.Memory.Dispose();
        _registry.Remove(_hosted);
        _hosted.ReturnMemoryShare();
        Announce();
        _ended.TrySetException(new GrpcException(
            GrpcStatusCode.Aborted, $"migration {_record.Id}: guest '{_hosted.Name}' never started here: {_reason}"));
    }

    private async Task FinishWhenCompleteAsync()
    {
        // A small guest may be all here before it runs.
        await Task.WhenAll(_allPages.Task, _started.Task).ConfigureAwait(false);
        try
        {
            DestinationTransition step = Apply(DestinationEvent.AllPagesReceived);
            if (!step.Actions.Contains(DestinationAction.Finish))
            {
                return;
            }

            await Lanes.StopFaultsAsync().ConfigureAwait(false);
            _incoming.Complete();
            _hosted.Settle();
            Announce();
            _ended.TrySetResult();
            await Lanes.Closed.ConfigureAwait(false);
            _incoming.Dispose();
            Lanes.Dispose();
        }
        catch (Exception error)
        {
            DaemonLog.DestinationStepFailed(_logger, error, _record.Id, _hosted.Name, "finishing");
            _ended.TrySetException(error);
        }
    }
}
