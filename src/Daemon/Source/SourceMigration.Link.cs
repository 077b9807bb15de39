using MigrationD.Daemon.Faults;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Source.Link;
using MigrationD.Daemon.Source.Push;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.StateMachines;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Source;

/// <content>The lanes: streaming pages over them until all are there, and having them again when they are lost.</content>
internal sealed partial class SourceMigration
{
    private async Task<Happened<SourceEvent>?> StreamPagesAsync(CancellationToken shutdown)
    {
        ISourceLanes lanes = _lanes!;
        _activeSince = _time.GetTimestamp();
        lanes.GuestRuns(_precopy?.Hottest() ?? default);
        FaultInjection.At("source.stream");
        using var asking = CancellationTokenSource.CreateLinkedTokenSource(shutdown);
        Task<CompleteResponse> complete = _destination.CompleteAsync(asking.Token);
        if (await Task.WhenAny(complete, lanes.Lost).ConfigureAwait(false) == lanes.Lost)
        {
            await asking.CancelAsync().ConfigureAwait(false);
            // Until the call has ended it may dial anew, and recovery goes over the same connection.
            await ((Task)complete).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            Exception lost = await lanes.Lost.ConfigureAwait(false);
            return new(
                SourceEvent.LinkLost,
                $"a page lane is lost: {lost.Message}. The guest goes on at the destination with the pages it has; this daemon keeps "
                + $"{Kept} and dials the destination again");
        }

        try
        {
            CompleteResponse answer = await complete.ConfigureAwait(false);
            FaultInjection.At("source.complete");
            _record.StopClock();
            long before = _before.LaneBytes;
            _record.ReadFrom(
                () => new LiveFigures(
                    before + lanes.Figures.LaneBytes, _guest.Memory.PageCount, answer.Placement, _released?.Bytes ?? 0,
                    _compression.Figures),
                lanes.Map);
            return new(SourceEvent.AllPagesPlaced);
        }
        catch (Refusal error)
        {
            return new(SourceEvent.LinkLost, $"the destination does not know this migration any more: {error.Message}");
        }
        catch (OperationCanceledException) when (shutdown.IsCancellationRequested)
        {
            return null;
        }
    }

    private async Task<Happened<SourceEvent>?> RecoverAsync(string why, CancellationToken shutdown)
    {
        await DropLanesAsync().ConfigureAwait(false);
        if (Interlocked.Exchange(ref _newAddress, null) is { } address)
        {
            _destination.MoveTo(address);
        }

        string before = _destination.Home;
        Happened<SourceEvent>? outcome = await UnlessOrderedAsync(
            async stop =>
            {
                await RestAsync(stop).ConfigureAwait(false);
                FaultInjection.At("source.recover");
                ISourceLanes? lanes = await _destination.RecoverAsync(
                    _plan.Lanes,
                    answer => Outgoing(new SentPages(ReceivedBitmap.Unpack(answer.Received, _guest.Memory.PageCount))),
                    stop).ConfigureAwait(false);
                if (lanes is null)
                {
                    return new(SourceEvent.AllPagesPlaced, why);
                }

                UseLanes(lanes);
                _record.Change(migration => migration.Recoveries++);
                return new(SourceEvent.LinkRestored);
            },
            _timeouts.Recovery,
            shutdown).ConfigureAwait(false);
        if (_destination.Home != before)
        {
            _record.Change(migration => migration.Peer = _destination.Home);
            _hosted.MoveTo(_destination.Home);
        }

        return _destination.Address == _destination.Home ? outcome : ReturnHome(outcome);
    }

    /// <summary>
    /// Goes back to where the guest is known to be: the address that an operator gave was of no use. That a stranger does not have the
    /// guest says nothing.
    /// </summary>
    private Happened<SourceEvent>? ReturnHome(Happened<SourceEvent>? outcome)
    {
        string stranger = _destination.Address;
        _destination.MoveTo(_destination.Home);
        return outcome?.Event != SourceEvent.DestinationGone ? outcome : new(
            SourceEvent.RecoveryGivenUp,
            $"the daemon at {stranger} answers and knows nothing of this migration: it is not the one that the guest has gone to, which "
            + $"was last at {_destination.Home}. To dial that one: migrationd migration recover {_record.Id}; if it is elsewhere now, with "
            + "--to HOST:PORT");
    }

    /// <summary>Closes lanes, and the dirty log with them; says whether there were any.</summary>
    private async Task<bool> DropLanesAsync()
    {
        if (_lanes is not { } lost)
        {
            return false;
        }

        await CloseLanesAsync(complete: false).ConfigureAwait(false);
        LiveFigures last = Sum(_before, lost.Figures);
        _before = last;
        RamMap map = lost.Map();
        _record.ReadFrom(() => last, () => map);
        lost.Dispose();
        _lanes = null;
        _precopy?.Dispose();
        _precopy = null;
        return true;
    }

    // A link that holds for less than this is dialled no faster than one that cannot be had at all.
    private Task RestAsync(CancellationToken cancellationToken) => _time.GetElapsedTime(_activeSince) < ShortestUsefulLink
        ? Task.Delay(ShortestUsefulLink, _time, cancellationToken)
        : Task.CompletedTask;

    private void UseLanes(ISourceLanes lanes)
    {
        _lanes = lanes;
        LiveFigures before = _before;
        _record.ReadFrom(() => Sum(before, lanes.Figures), lanes.Map);
    }

    private OutgoingMemory Outgoing(SentPages sent) => new(_hosted.Name, _guest.Memory, sent, _pace, _compression, _released);

    private async Task CloseLanesAsync(bool complete)
    {
        if (_lanes is { } lanes)
        {
            await lanes.CloseAsync(complete).ConfigureAwait(false);
        }
    }

    /// <summary>Adds bytes up. The destination has counted from the beginning, but says what on new lanes only after a while.</summary>
    private static LiveFigures Sum(LiveFigures before, LiveFigures lanes) =>
        (lanes.Placement is null ? before : lanes) with { LaneBytes = before.LaneBytes + lanes.LaneBytes };

    private bool IsWhole => _released is null or { Bytes: 0 };

    private string Kept => IsWhole ? "all of them" : "those that have not been confirmed";
}
