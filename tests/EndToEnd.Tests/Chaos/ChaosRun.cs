using System.Diagnostics;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;
using GuestMessage = MigrationD.Protocol.V1.Guest;

namespace MigrationD.EndToEnd.Tests.Chaos;

/// <summary>One migration that is disturbed as planned, and the verdict on it.</summary>
internal sealed class ChaosRun(ChaosPlan plan, ChaosPair pair, ChaosTally tally)
{
    private const int Stop = 19;
    private const int Continue = 18;
    private const int Kill = 9;

    // The recovery timeout of both sides, the link timeout before it, and what a busy machine adds.
    private static readonly TimeSpan SettleDeadline = TimeSpan.FromSeconds(45);

    // A source that has dialled for its recovery timeout waits for an operator: who waits for this long is that operator.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(6);
    private static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(25);

    // Daemons go on to the next run, and their records with them.
    private readonly string _guest = $"g{plan.Seed}";
    private bool _isResumedHere;

    private DaemonProcess Source => pair.Source;

    private DaemonProcess Destination => pair.Destination;

    public async Task RunAsync()
    {
        await pair.PrepareAsync(plan.Fault);
        pair.Network.Shape(plan.Rate);
        await CreateGuestAsync();
        ulong steps = (await Source.GuestAsync(_guest)).Report.Steps;

        using var over = new CancellationTokenSource();
        Task watching = WatchAsync(over.Token);
        await BeginAsync();
        await Task.WhenAll([SwitchAsync(), .. plan.Disturbances.Select(DisturbAsync)]);
        await SettleAsync();
        await over.CancelAsync();
        await watching;

        await JudgeAsync(steps);
        await CleanAsync();
    }

    private async Task CreateGuestAsync()
    {
        await Source.Calls.CreateGuestAsync(new CreateGuestRequest
        {
            Spec = new GuestSpec
            {
                Name = _guest,
                Kind = plan.Kind == "kvm" ? GuestKind.Kvm : GuestKind.Workload,
                MemoryBytes = (ulong)plan.MemoryMiB << 20,
                WorkingSetBytes = (ulong)plan.WorkingSetMiB << 20,
                Vcpus = (uint)plan.Vcpus,
                Pattern = plan.Pattern switch
                {
                    "uniform" => WalkPattern.Uniform,
                    "zipf" => WalkPattern.Zipf,
                    _ => WalkPattern.Sequential,
                },
            },
        });
        await Source.GuestUntilAsync(_guest, guest => guest.Report.Sweeps >= 1);
    }

    private async Task BeginAsync()
    {
        var request = new MigrateRequest
        {
            Guest = _guest,
            To = Destination.Listen,
            Placement = plan.Placement == "copy" ? Placement.Copy : Placement.Move,
            Mode = plan.Mode switch
            {
                "precopy" => MigrationMode.Precopy,
                "hybrid" => MigrationMode.Hybrid,
                _ => MigrationMode.Postcopy,
            },
            // Pure precopy may fail, or take for ever, for the guest's writes alone; here it is to do so for what is done to it only.
            TimeoutStrategy = TimeoutStrategy.Continue,
            MaxRounds = 3,
            Lanes = (uint)plan.Lanes,
        };
        try
        {
            // One that ends or stops itself may do so before it has answered; whether it has begun is seen later.
            await Source.Calls.MigrateAsync(request).ResponseAsync.WaitAsync(AnswerWithin);
        }
        catch (Exception error) when (error is TimeoutException or Refusal { Why: Because.Unreachable })
        {
            tally.Count("unanswered orders");
        }
    }

    /// <summary>The operator ends precopy, if the plan has one who does.</summary>
    private async Task SwitchAsync()
    {
        if (plan.SwitchAfter is not { } after)
        {
            return;
        }

        await Task.Delay(after);
        try
        {
            (_, Migration? migration) = await MigrationAsync(Source);
            if (migration is not null)
            {
                await Source.Calls.StartPostcopyAsync(new StartPostcopyRequest { Id = migration.Id }).ResponseAsync.WaitAsync(AnswerWithin);
                tally.Count("precopies ended by an operator");
            }
        }
        catch (Exception error) when (error is TimeoutException or Refusal)
        {
            // It was over, or nobody was there to be told.
        }
    }

    private async Task DisturbAsync(Disturbance disturbance)
    {
        await Task.Delay(disturbance.After);
        NetworkPair network = pair.Network;
        (Action Begin, Action? End) act = disturbance.Kind switch
        {
            DisturbanceKind.LinkDown => (network.LinkDown, network.LinkUp),
            DisturbanceKind.SilentDrop => (network.StartDropping, network.StopDropping),
            DisturbanceKind.Reset => (network.StartResetting, network.StopResetting),
            DisturbanceKind.StopSource => (() => Signal(Source, Stop), () => Signal(Source, Continue)),
            DisturbanceKind.StopDestination => (() => Signal(Destination, Stop), () => Signal(Destination, Continue)),
            DisturbanceKind.KillSource => (() => Signal(Source, Kill), null),
            DisturbanceKind.KillDestination => (() => Signal(Destination, Kill), null),
            _ => throw new InvalidOperationException($"there is no {disturbance.Kind}"),
        };
        await Task.Run(act.Begin);
        if (act.End is not null)
        {
            try
            {
                await Task.Delay(disturbance.Lasts);
            }
            finally
            {
                await Task.Run(act.End);
            }
        }
    }

    private static void Signal(DaemonProcess daemon, int signal)
    {
        if (!daemon.HasExited)
        {
            daemon.Signal(signal);
        }
    }

    /// <summary>Looks all the time whether both daemons say that the guest runs with them.</summary>
    private async Task WatchAsync(CancellationToken over)
    {
        while (!over.IsCancellationRequested)
        {
            // Before and after: what ran here and runs there now has moved, and what is said in between is true of one moment.
            GuestState? before = await StateAsync(Source);
            GuestState? there = await StateAsync(Destination);
            GuestState? after = await StateAsync(Source);
            // A destination that has died since: its guest may have been let go on at the source in between.
            if (before == GuestState.Running && there == GuestState.Running && after == GuestState.Running && !Destination.HasExited)
            {
                throw new InvalidOperationException("THE GUEST RUNS ON BOTH HOSTS");
            }

            await Task.Delay(PollInterval, over).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task<GuestState?> StateAsync(DaemonProcess daemon)
    {
        try
        {
            return (await daemon.GuestsAsync().WaitAsync(AnswerWithin)).FirstOrDefault(guest => guest.Spec.Name == _guest)?.State;
        }
        catch (Exception error) when (error is Refusal or TimeoutException)
        {
            return null;
        }
    }

    /// <summary>The latest migration of the guest as this daemon knows it; null when it knows none, or does not answer.</summary>
    private async Task<(bool Answered, Migration? Migration)> MigrationAsync(DaemonProcess daemon)
    {
        try
        {
            return (true, await LatestAsync(daemon).WaitAsync(AnswerWithin));
        }
        catch (Exception error) when (error is TimeoutException or Refusal { Why: Because.Unreachable })
        {
            return (false, null);
        }
    }

    /// <summary>The latest migration of the guest as a living daemon knows it, however long that takes; null when it knows none.</summary>
    private async Task<Migration?> LatestAsync(DaemonProcess daemon) =>
        (await daemon.Calls.ListMigrationsAsync(new ListMigrationsRequest())).Migrations
            .Where(one => one.Guest == _guest).MaxBy(one => one.StartedUnixUs);

    private static bool IsFinal(Migration migration) =>
        migration.State is MigrationState.Completed or MigrationState.Failed or MigrationState.Cancelled;

    /// <summary>Waits until nothing changes any more without an operator, and is that operator where one is needed.</summary>
    private async Task SettleAsync()
    {
        var clock = Stopwatch.StartNew();
        var paused = new Stopwatch();
        while (true)
        {
            pair.WakeFaulty();
            (bool sourceAnswered, Migration? here) = await MigrationAsync(Source);
            (bool destinationAnswered, Migration? there) = await MigrationAsync(Destination);
            bool sourceSettled = Source.HasExited || (sourceAnswered && here is not null && IsFinal(here));
            bool destinationSettled = Destination.HasExited || (destinationAnswered && (there is null || IsFinal(there)));
            if (sourceSettled && destinationSettled)
            {
                return;
            }

            if (!Source.HasExited && here?.State is MigrationState.PostcopyPaused or MigrationState.Device)
            {
                paused.Start();
                if (Destination.HasExited)
                {
                    await ResumeHereAsync(here);
                }
                else if (here.State == MigrationState.PostcopyPaused
                    && (here.Reason.Contains("migration recover", StringComparison.Ordinal) || paused.Elapsed > Patience))
                {
                    await RecoverAsync(here);
                    paused.Reset();
                }
            }
            else
            {
                paused.Reset();
            }

            if (clock.Elapsed > SettleDeadline)
            {
                throw new TimeoutException($"nothing settled within {SettleDeadline}: source {here}, destination {there}");
            }

            await Task.Delay(PollInterval);
        }
    }

    private async Task ResumeHereAsync(Migration migration)
    {
        try
        {
            await Source.Calls.ResolveMigrationAsync(
                new ResolveMigrationRequest { Id = migration.Id, Resolution = Resolution.ResumeHere, Force = true });
            _isResumedHere = true;
            tally.Count("guests resumed on the source by an operator");
        }
        catch (Refusal error) when (error.Why == Because.NotNow)
        {
            // Not given away yet, or rolled back meanwhile.
        }
    }

    private async Task RecoverAsync(Migration migration)
    {
        try
        {
            await Source.Calls.RecoverMigrationAsync(new RecoverMigrationRequest { Id = migration.Id });
            tally.Count("recoveries ordered by an operator");
        }
        catch (Refusal error) when (error.Why == Because.NotNow)
        {
            // It came back by itself meanwhile.
        }
    }

    private async Task JudgeAsync(ulong stepsBefore)
    {
        bool sourceLives = !Source.HasExited;
        bool destinationLives = !Destination.HasExited;
        Migration? here = sourceLives ? await LatestAsync(Source) : null;
        Migration? there = destinationLives ? await LatestAsync(Destination) : null;
        GuestMessage? guestHere = sourceLives ? await GuestOfAsync(Source) : null;
        GuestMessage? guestThere = destinationLives ? await GuestOfAsync(Destination) : null;
        if (guestThere?.State == GuestState.Incoming)
        {
            // A daemon that was stopped may hear a Prepare only now that its source is dead, after it has said that it knows of nothing.
            await SettleAsync();
            await JudgeAsync(stepsBefore);
            return;
        }

        string all = $"\nsource: {here} {guestHere}\ndestination: {there} {guestThere}";
        tally.Count("runs");
        tally.Count($"runs {plan.Mode}");
        tally.Count("recoveries", (here ?? there)?.Recoveries ?? 0);
        tally.Count("daemons killed", (sourceLives ? 0 : 1) + (destinationLives ? 0 : 1));
        tally.Count("wrong pages", (long)((guestHere?.Report.CorruptPages ?? 0) + (guestThere?.Report.CorruptPages ?? 0)));
        bool runsHere = guestHere?.State == GuestState.Running;
        bool runsThere = guestThere?.State == GuestState.Running;
        Assert.False(runsHere && runsThere, $"the guest runs on both hosts{all}");
        if (!runsHere && !runsThere)
        {
            // Only with a dead host may a guest be gone; and if it was the destination's, the source has all of it, unless the destination had
            // said before that it has.
            Assert.False(sourceLives && !IsWholeAtDead(here, destinationLives), $"the guest runs nowhere, and its source lives{all}");
            bool isDeclaredLost = guestThere is { State: GuestState.Failed } && there!.PagesLost > 0;
            Assert.True(!destinationLives || guestThere is null || isDeclaredLost, $"the guest neither runs nor is declared lost{all}");
            tally.Count(isDeclaredLost ? "guests lost with a source killed in post-copy" : "guests that ended with their only host");
            return;
        }

        if (here is not null)
        {
            Assert.True((here.State == MigrationState.Completed) == runsThere, $"the source is wrong about where the guest is{all}");
        }

        if (sourceLives && runsThere)
        {
            Assert.Equal(GuestState.Migrated, guestHere!.State);
            PlacementCounters placed = there!.Placement;
            Assert.Equal((ulong)plan.MemoryMiB * 256, placed.PagesUrgent + placed.PagesPush + placed.PagesZero - placed.PagesForgotten);
        }

        tally.Count(runsThere ? "completed" : _isResumedHere ? "resumed" : "rolled back");
        DaemonProcess holder = runsHere ? Source : Destination;
        await holder.GuestIsWellAsync(_guest);
        if (!_isResumedHere)
        {
            Assert.True((await holder.GuestAsync(_guest)).Report.Steps >= stepsBefore, $"the guest went back in time{all}");
        }
    }

    /// <summary>Whether the destination has died after the migration, with a guest that was only there.</summary>
    private bool IsWholeAtDead(Migration? atSource, bool destinationLives) =>
        !destinationLives && atSource is { State: MigrationState.Completed, Placement: { } placed }
        && placed.PagesUrgent + placed.PagesPush + placed.PagesZero - placed.PagesForgotten == (ulong)plan.MemoryMiB * 256;

    private async Task<GuestMessage?> GuestOfAsync(DaemonProcess daemon) =>
        (await daemon.GuestsAsync()).FirstOrDefault(guest => guest.Spec.Name == _guest);

    /// <summary>Whatever is left can be deleted, and nothing is left then.</summary>
    private async Task CleanAsync()
    {
        foreach (DaemonProcess daemon in (DaemonProcess[])[Source, Destination])
        {
            if (!daemon.HasExited && await GuestOfAsync(daemon) is not null)
            {
                await daemon.Calls.DeleteGuestAsync(new DeleteGuestRequest { Name = _guest });
                Assert.Empty(await daemon.GuestsAsync());
            }
        }
    }
}
