using System.Collections.Immutable;
using System.Net;
using Google.Protobuf;
using Microsoft.Extensions.Logging;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Migrations;
using MigrationD.Guest;
using MigrationD.Protocol.Grpc;
using MigrationD.Protocol.Session;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Source;

/// <summary>
/// Moves one guest away: carries out what <see cref="SourceMachine"/> says, and tells it what came of it.
/// </summary>
internal sealed class SourceMigration
{
    private readonly HostedGuest _hosted;
    private readonly IGuest _guest;
    private readonly MigrationRecord _record;
    private readonly DestinationClient _destination;
    private readonly PrepareRequest _prepare;
    private readonly ILogger _logger;
    private readonly bool _wasRunning;
    private readonly SwitchoverClock _clock = new();
    private SourceState _state = SourceState.Idle;
    private string _reason = "";
    private SourceLanes? _lanes;

    private SourceMigration(
        HostedGuest hosted, IGuest guest, MigrationRecord record, DestinationClient destination, PrepareRequest prepare, ILogger logger)
    {
        _hosted = hosted;
        _guest = guest;
        _record = record;
        _destination = destination;
        _prepare = prepare;
        _logger = logger;
        _wasRunning = prepare.RunOnArrival;
    }

    /// <summary>Takes the guest and makes its migration ready to run.</summary>
    /// <exception cref="GrpcException">The guest cannot be migrated now.</exception>
    public static SourceMigration Begin(
        HostedGuest hosted, string to, Placement placement, string node, MigrationLog log, ILogger logger, out MigrationRecord record)
    {
        string id = Convert.ToHexStringLower(Guid.NewGuid().ToByteArray().AsSpan(0, 6));
        IGuest guest = hosted.TakeForMigration(id);
        try
        {
            var prepare = new PrepareRequest
            {
                ProtocolVersion = ProtocolVersion.Current,
                Guest = GuestMessages.ToMessage(hosted.Spec),
                RamBlocks = { new RamBlock { Id = "ram", Bytes = (ulong)guest.Memory.Length } },
                DeviceStateVersion = GuestFactory.DeviceStateVersion,
                MachineProfile = ByteString.CopyFrom(guest.MachineProfile()),
                Placement = placement,
                SourceNode = node,
                MigrationId = id,
                RunOnArrival = guest.IsRunning,
            };
            record = new MigrationRecord(id, hosted.Name, MigrationRole.Source, to, guest.Memory.PageCount);
            var migration = new SourceMigration(hosted, guest, record, new DestinationClient(to, logger), prepare, logger);
            log.Add(record);
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
                SourceTransition step = SourceMachine.Next(_state, now)
                    ?? throw new InvalidOperationException($"{now} cannot happen to a source in {_state}");
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
            if (SourceMachine.IsFinal(_state))
            {
                _lanes?.Dispose();
                _destination.Dispose();
            }
        }
    }

    private static MigrationState Reported(SourceState state) => state switch
    {
        SourceState.Idle or SourceState.Setup => MigrationState.Setup,
        SourceState.Device or SourceState.HandingOver => MigrationState.Device,
        SourceState.PostcopyActive => MigrationState.PostcopyActive,
        SourceState.PostcopyPaused => MigrationState.PostcopyPaused,
        SourceState.Completed => MigrationState.Completed,
        SourceState.Failed => MigrationState.Failed,
        SourceState.Cancelled => MigrationState.Cancelled,
        _ => throw new ArgumentOutOfRangeException(nameof(state)),
    };

    private void Enter(SourceState state)
    {
        _state = state;
        // An end is announced when the guest is back, or freed, not before: whoever waits for it wants to use the guest, or its name.
        if (!SourceMachine.IsFinal(state))
        {
            Announce();
        }
    }

    private void Announce()
    {
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
        catch (Exception error) when (SourceMachine.Next(_state, SourceEvent.Failed) is not null)
        {
            _reason = error is OperationCanceledException && shutdown.IsCancellationRequested ? "this daemon is stopping" : error.Message;
            return SourceEvent.Failed;
        }
    }

    private async Task<SourceEvent?> PerformAsync(SourceAction action, CancellationToken shutdown)
    {
        switch (action)
        {
            case SourceAction.Prepare:
                await PrepareAsync(shutdown).ConfigureAwait(false);
                return SourceEvent.Prepared;

            case SourceAction.PauseGuest:
                _clock.Begin();
                // On this thread: no page of the guest is missing here, so nothing can make this wait for the thread pool.
                _guest.Pause();
                _clock.Paused();
                return null;

            case SourceAction.SendState:
                await SendStateAsync(shutdown).ConfigureAwait(false);
                return SourceEvent.Ready;

            case SourceAction.GiveAway:
                _hosted.GiveAway();
                return null;

            case SourceAction.SendRun:
                return await SendRunAsync(shutdown).ConfigureAwait(false);

            case SourceAction.AskOutcome:
                return await AskOutcomeAsync(shutdown).ConfigureAwait(false);

            case SourceAction.StreamPages:
                return await StreamPagesAsync(shutdown).ConfigureAwait(false);

            case SourceAction.ReturnGuest:
                await ReturnGuestAsync().ConfigureAwait(false);
                return null;

            case SourceAction.AbortDestination:
                await _destination.TryAbortAsync(_reason).ConfigureAwait(false);
                return null;

            case SourceAction.FreeGuest:
                await CloseLanesAsync(complete: true).ConfigureAwait(false);
                _hosted.FreeAway();
                Announce();
                return null;

            default:
                throw new ArgumentOutOfRangeException(nameof(action));
        }
    }

    private async Task PrepareAsync(CancellationToken cancel)
    {
        PrepareResponse prepared = await _destination.PrepareAsync(_prepare, cancel).ConfigureAwait(false);
        EndPoint lanes = await _destination.LanesOfAsync(prepared, cancel).ConfigureAwait(false);
        _lanes = await _destination.DialLanesAsync(
            () => SourceLanes.Open(lanes, prepared.Session, prepared.Secret.Span, _guest.Memory, _hosted.Name, _logger, cancel), cancel)
            .ConfigureAwait(false);
        _record.Follow(() => _lanes.Figures);
    }

    private async Task SendStateAsync(CancellationToken cancel)
    {
        byte[] state = _guest.SaveState();
        _clock.Saved();
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
            await _destination.RunAsync(shutdown).ConfigureAwait(false);
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
        try
        {
            if (await _destination.AskOutcomeAsync(shutdown).ConfigureAwait(false) == Outcome.Running)
            {
                return Confirmed();
            }

            _reason = "the destination never started the guest";
            return SourceEvent.NeverStarted;
        }
        catch (OperationCanceledException) when (shutdown.IsCancellationRequested)
        {
            return null;
        }
    }

    private SourceEvent Confirmed()
    {
        _clock.Running();
        if (_wasRunning)
        {
            _record.SetDowntime(_clock.Downtime);
        }

        DaemonLog.SwitchedOver(
            _logger, _record.Id, _hosted.Name, _clock.Downtime.TotalMilliseconds, _clock.Pause.TotalMilliseconds,
            _clock.Save.TotalMilliseconds, _clock.Load.TotalMilliseconds, _clock.Run.TotalMilliseconds);

        _reason = "";
        return SourceEvent.RunConfirmed;
    }

    private async Task<SourceEvent?> StreamPagesAsync(CancellationToken shutdown)
    {
        SourceLanes lanes = _lanes!;
        lanes.GuestRuns();
        using var asking = CancellationTokenSource.CreateLinkedTokenSource(shutdown);
        Task<CompleteResponse> complete = _destination.CompleteAsync(asking.Token);
        if (await Task.WhenAny(complete, lanes.Lost).ConfigureAwait(false) == lanes.Lost)
        {
            await asking.CancelAsync().ConfigureAwait(false);
            Exception lost = await lanes.Lost.ConfigureAwait(false);
            _reason = $"a page lane is lost: {lost.Message}. The guest goes on at the destination with the pages it has; this daemon keeps "
                + "all of them as they were at the switchover and does not run the guest";
            return SourceEvent.LinkLost;
        }

        try
        {
            CompleteResponse answer = await complete.ConfigureAwait(false);
            _record.StopClock();
            _record.Follow(() => lanes.Figures with { PagesReceived = _guest.Memory.PageCount, Placement = answer.Placement });
            return SourceEvent.AllPagesPlaced;
        }
        catch (OperationCanceledException) when (shutdown.IsCancellationRequested)
        {
            return null;
        }
    }

    private async Task ReturnGuestAsync()
    {
        if (_wasRunning)
        {
            _guest.Resume();
        }

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
