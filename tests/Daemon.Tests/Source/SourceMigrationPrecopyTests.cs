using MigrationD.Daemon.Source.Link;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Source;

/// <summary>A guest whose memory is copied while it runs: what the migration does around that, and when the link is lost in it.</summary>
public sealed class SourceMigrationPrecopyTests : SourceScene
{
    [Fact]
    public async Task Guest_goes_by_precopy_and_postcopy_in_order()
    {
        Plan = Hybrid;
        // The first harvest is after the round, the second at the switchover.
        Guest.OnHarvest = into => into.Add(Guest.IsRunning ? 9 : 7, 1);
        await RunAsync();
        Assert.Equal(
            [
                "prepare", "open lanes of session", "round, then RoundEnded", "PrecopyEnded", "forget 9+1", "forget 7+1", "start push",
                "load state", "run", "guest runs, hottest: 7 9", "complete", "close lanes that are done", "dispose lanes", "dispose",
            ],
            Calls);
        Assert.Equal(["resume", "open dirty log", "arm dirty log", "pause", "release", "dispose"], Guest.Calls);
        Assert.Equal(
            [MigrationState.PrecopyActive, MigrationState.Device, MigrationState.Device, MigrationState.PostcopyActive,
                MigrationState.Completed],
            States());
        Assert.Equal((1u, 16384ul, "what is left takes 0 ms"), (Precopy.Rounds, Precopy.PagesSent, Precopy.Ended));
    }

    [Fact]
    public async Task Guest_goes_by_precopy_alone_in_order()
    {
        Plan = Hybrid with { Mode = MigrationMode.Precopy, Precopy = Hybrid.Precopy with { IsPure = true } };
        Guest.OnHarvest = into => into.Add(7, 1);
        await RunAsync();
        Assert.Equal(
            ["round, then RoundEnded", "round, then PrecopyEnded", "start push", "load state", "run"], Calls.Skip(2).Take(5));
        Assert.DoesNotContain(Calls, call => call.StartsWith("forget", StringComparison.Ordinal));
        Assert.Equal(16384, Destination.Lanes.Sent.Count());
        Assert.Equal(MigrationState.Completed, Record.State);
    }

    [Fact]
    public async Task Link_that_is_lost_in_precopy_lets_it_begin_anew()
    {
        Plan = Hybrid;
        Destination.Lanes.OnRound = _ =>
        {
            Assert.True(Guest.IsRunning);
            Destination.Lanes = new ScriptedLanes(Calls);
            throw new LinkLostException(new IOException("reset"));
        };
        await RunAsync(IsOver);
        Assert.Equal(
            ["round, then RoundEnded", "close lanes", "dispose lanes", "prepare again", "open lanes of session", "round, then RoundEnded"],
            Calls.Skip(2).Take(6));
        Assert.Equal(
            ["resume", "open dirty log", "arm dirty log", "end dirty log", "open dirty log", "arm dirty log", "pause"],
            Guest.Calls.Take(7));
        Assert.Contains(
            (MigrationState.Setup,
                "a page lane is lost: reset. The guest goes on here, untouched; the destination is dialled again, and precopy begins "
                + "anew"),
            Announced);
        Assert.Equal((MigrationState.Completed, 1u, 2000ul), (Record.State, Record.Snapshot().Recoveries, Record.Snapshot().BytesSent));
    }

    [Fact]
    public async Task Link_that_did_not_hold_in_precopy_is_not_dialled_at_once()
    {
        Plan = Hybrid;
        Destination.Lanes.OnRound = _ =>
        {
            Destination.Lanes = new ScriptedLanes(Calls);
            throw new LinkLostException(new IOException("reset"));
        };
        Task running = RunAsync();
        await Clock.AwaitedAsync();
        Assert.DoesNotContain("prepare again", Calls);
        Clock.Advance(TimeSpan.FromMilliseconds(500));
        await running;
        Assert.Contains("prepare again", Calls);
    }

    [Fact]
    public async Task What_was_hot_at_the_switchover_is_not_sent_first_once_the_link_was_lost()
    {
        Plan = Hybrid;
        Guest.OnHarvest = into => into.Add(7, 1);
        LoseLanesOnce();
        Destination.OnRecover = _ => Task.FromResult<ISourceLanes?>(new ScriptedLanes(Calls));
        await RunAsync(IsOver);
        Assert.Equal(
            ["guest runs, hottest: 7", "guest runs"], Calls.Where(call => call.StartsWith("guest runs", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Cancel_in_precopy_ends_it_and_the_guest_goes_on()
    {
        Plan = Hybrid;
        Destination.Lanes.OnRound = _ =>
        {
            Migration.Cancel();
            return 0;
        };
        await RunAsync();
        Assert.Equal((MigrationState.Cancelled, "cancelled by an operator"), Announced.Last());
        Assert.Equal(["end dirty log", "claim"], Guest.Calls.TakeLast(2));
        Assert.True(Guest.IsRunning);
    }
}
