using System.Diagnostics.CodeAnalysis;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Source.Link;
using MigrationD.Protocol.StateMachines;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Source;

/// <content>What operators order while a migration is under way, and how the migration hears of it.</content>
internal sealed partial class SourceMigration
{
    /// <summary>Stops the migration and lets the guest go on here.</summary>
    /// <exception cref="Refusal">NotNow: the guest has been given away.</exception>
    public void Cancel()
    {
        lock (_orders)
        {
            RefuseUnless(
                SourceEvent.CancelRequested, "cancel",
                "the guest has been given to the destination, and only one of the two may ever run it");
            _cancelled.Cancel();
        }
    }

    /// <summary>Ends precopy now; what has not come follows by post-copy.</summary>
    /// <exception cref="Refusal">NotNow: the migration is not hybrid, or not in precopy.</exception>
    public void StartPostcopy()
    {
        if (_plan.Mode != MigrationMode.Hybrid)
        {
            throw Refused("start post-copy in", $"its mode is {Words.Of(_plan.Mode)}; only one that is hybrid has both");
        }

        lock (_orders)
        {
            if (_state != SourceState.PrecopyActive)
            {
                throw Refused("start post-copy in", "only one that is precopy-active can be told to");
            }

            _switchOverNow = true;
            _precopy?.SwitchOverNow();
        }
    }

    /// <exception cref="Refusal">NotNow: the migration has no such limit, or not any more; nothing is changed.</exception>
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
                Apply(_plan.With(change));
            }
            catch (ArgumentException no)
            {
                throw Refused("change limits of", no.Message);
            }
        }
    }

    /// <summary>Dials the destination again now, at another address unless that is empty.</summary>
    /// <exception cref="Refusal">NotNow: the link is not lost.</exception>
    public void Recover(string to)
    {
        lock (_orders)
        {
            RefuseUnless(SourceEvent.RecoverOrdered, "recover", "only a migration that is postcopy-paused can be recovered");
            string? address = to.Length > 0 ? to : null;
            string why = $"the destination {address ?? _destination.Address} is dialled again, by an operator's order";
            PlaceOrder(new(SourceEvent.RecoverOrdered, why), "recover");
            _newAddress = address;
            // Said now, so that an operator can tell what comes of the order from what was said before.
            Announce(why);
        }
    }

    /// <summary>Lets the guest go on here as it was at the switchover.</summary>
    /// <exception cref="Refusal">
    /// NotNow: the destination has the guest, or may have it and <paramref name="force"/> is not said.
    /// </exception>
    public async Task ResumeHereAsync(bool force, CancellationToken cancellationToken)
    {
        RefuseUnless(
            SourceEvent.ResumeHereOrdered, "resume here in", "only a guest whose destination cannot be reached can be resumed here");
        RefuseUnlessWhole(IsWhole);
        DestinationWord word = await _destination.AskOnceAsync(cancellationToken).ConfigureAwait(false);
        if (word == DestinationWord.HasGuest)
        {
            throw Refused("resume here in", $"the destination {_destination.Home} answers and has the guest; it must not run twice. "
                + $"Restore the link instead: migrationd migration recover {_record.Id}");
        }

        if (word == DestinationWord.Silent && !force)
        {
            throw Refused("resume here in", $"the destination {_destination.Home} does not answer, which does not mean that the guest "
                + "does not run there. Make sure that it does not (end that daemon, or its host), then repeat this with --force. Whatever "
                + "the guest did after the switchover is lost");
        }

        lock (_orders)
        {
            RefuseUnless(SourceEvent.ResumeHereOrdered, "resume here in", "the link was restored meanwhile");
            RefuseUnlessWhole(_released?.TryKeep() != false);
            PlaceOrder(
                new(
                    SourceEvent.ResumeHereOrdered,
                    "an operator let the guest go on here, as it was at the switchover; what it did on the destination is lost"),
                "resume here in");
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

    [MemberNotNull(nameof(_plan))]
    private void Apply(MigrationPlan plan)
    {
        _plan = plan;
        _pace.Set(plan.Bandwidth, plan.PostcopyBandwidth);
        _precopy?.Change(plan.Precopy);
        _record.Change(migration => migration.Limits = plan.Limits());
    }

    /// <summary>Whether an operator has ordered to dial again, which is announced already and not begun yet.</summary>
    private bool IsDialOrdered => _order.Task is { IsCompletedSuccessfully: true, Result.Event: SourceEvent.RecoverOrdered };

    private static TaskCompletionSource<Happened<SourceEvent>> NewOrder() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private void PlaceOrder(Happened<SourceEvent> order, string what)
    {
        if (!_order.TrySetResult(order))
        {
            throw Refused(what, "another order is being carried out; see what comes of it first");
        }
    }

    /// <summary>Waits for the operator's next order; null when the daemon stops.</summary>
    private async Task<Happened<SourceEvent>?> OrderAsync(CancellationToken cancellationToken)
    {
        Task<Happened<SourceEvent>> order = _order.Task;
        await ((Task)order).WaitAsync(cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (!order.IsCompleted)
        {
            return null;
        }

        lock (_orders)
        {
            _order = NewOrder();
        }

        return await order.ConfigureAwait(false);
    }

    /// <summary>Talks to the destination, unless an operator's order comes first, or time runs out, or the daemon stops (null).</summary>
    private async Task<Happened<SourceEvent>?> UnlessOrderedAsync(
        Func<CancellationToken, Task<Happened<SourceEvent>>> talk, TimeSpan timeout, CancellationToken shutdown)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(shutdown);
        Task<Happened<SourceEvent>> talking = talk(stop.Token);
        Task<Happened<SourceEvent>?> ordered = OrderAsync(stop.Token);
        await Task.WhenAny(talking, ordered, Task.Delay(timeout, _time, stop.Token)).ConfigureAwait(false);
        await stop.CancelAsync().ConfigureAwait(false);
        // Taken even when it came last: the operator has been told that it is carried out.
        Happened<SourceEvent>? order = await ordered.ConfigureAwait(false);
        try
        {
            return await talking.ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (shutdown.IsCancellationRequested)
        {
            return null;
        }
        catch (Exception error) when (order is not null && error is OperationCanceledException or Refusal)
        {
            return order;
        }
        catch (Exception error) when (error is OperationCanceledException or Refusal { Why: Because.Cancelled })
        {
            return new(
                SourceEvent.RecoveryGivenUp,
                $"the destination {_destination.Address} was not reached within {timeout.TotalSeconds:0.#} s. The guest goes on there, if "
                + $"that host lives, with the pages it has; this daemon keeps {Kept}. When it is back: "
                + $"migrationd migration recover {_record.Id}. "
                + (IsWhole ? $"If it is gone for good: migrationd migration resolve {_record.Id} --resume-here" : CannotGoOn));
        }
        catch (Refusal gone)
        {
            return new(
                SourceEvent.DestinationGone,
                $"the destination {_destination.Address} answers and does not have the guest any more: {gone.Message}. "
                + (IsWhole
                    ? "This daemon keeps every page as it was at the switchover: "
                        + $"migrationd migration resolve {_record.Id} --resume-here lets the guest go on here from then; what it did after "
                        + "that is lost"
                    : CannotGoOn));
        }
    }

    private void RefuseUnless(SourceEvent possible, string what, string why)
    {
        if (SourceMachine.Next(_state, possible) is null)
        {
            throw Refused(what, why);
        }
    }

    private Refusal Refused(string what, string why) => new(
        Because.NotNow,
        $"{what} migration {_record.Id} of guest '{_hosted.Name}': it is {Words.Of(Reported(_state))}; {why}");
}
