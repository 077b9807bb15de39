using Google.Protobuf;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests;

/// <summary>
/// What is said at the switchover comes on a lane where both sides know it, and by calls where one does not; whatever becomes of that lane,
/// one side has the guest.
/// </summary>
public sealed class HandoverLaneTests
{
    private const Needs Host = Needs.Userfaultfd | Needs.Kvm;

    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    [MachineTheory(Host)]
    [InlineData(true, "lane ")]
    [InlineData(false, "")]
    public async Task Orders_are_given_on_the_lane_or_by_calls(bool takes, string prefix)
    {
        await using DaemonProcess source = await SourceAsync();
        await using ScriptedDestination destination = await ScriptedDestination.StartAsync();
        destination.TakesHandover = takes;
        destination.OnQueryOutcome = () => new QueryOutcomeResponse { Outcome = Outcome.Running };
        bool offered = false;
        destination.OnPrepare = request =>
        {
            offered = request.HandoverLane;
            return destination.Prepared;
        };
        await source.Calls.MigrateAsync(DaemonProcess.Order("g", destination.Address));
        await source.GuestUntilAsync("g", guest => guest.State == GuestState.Migrated);

        Assert.True(offered);
        Assert.Equal(["Prepare", $"{prefix}LoadState", $"{prefix}Run"], await FirstCallsAsync(source, destination, 3));
    }

    [MachineFact(Host)]
    public async Task A_source_that_does_not_know_the_lane_gets_none()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon");
        using CallChannel channel = CallChannel.Connect(daemon.Listen);
        PrepareResponse prepared = await channel.Transport().PrepareAsync(Requests.Prepare("g", "m"));
        Assert.False(prepared.HandoverLane);
        Refusal refused = Assert.Throws<Refusal>(() => daemon.OpenLane(prepared, PageLanePaths.Handover));
        Assert.Equal(Because.Invalid, refused.Why);
        Assert.Contains("handover", refused.Message, StringComparison.Ordinal);
    }

    [MachineTheory(Host)]
    [InlineData("before")]
    [InlineData("LoadState")]
    public async Task A_lane_that_is_cut_before_Run_leaves_the_guest_where_it_is(string when)
    {
        await using DaemonProcess source = await SourceAsync();
        await using ScriptedDestination destination = await ScriptedDestination.StartAsync();
        destination.TakesHandover = true;
        destination.OnHandoverLane = lane =>
        {
            if (when == "before")
            {
                lane.Abort("cut");
            }
        };
        destination.OnOrder = (lane, _) => lane.Abort("cut");
        (await source.CliAsync("migrate", "g", "--to", destination.Address, "--mode", "postcopy")).Fails("migrat");
        await source.GuestIsWellAsync("g");
        Assert.DoesNotContain("lane Run", destination.Calls);
    }

    [MachineTheory(Host)]
    [InlineData(Outcome.NeverStarted)]
    [InlineData(Outcome.Running)]
    public async Task A_lane_that_is_cut_at_Run_leaves_the_last_word_to_the_destination(Outcome outcome)
    {
        await using DaemonProcess source = await SourceAsync();
        await using ScriptedDestination destination = await ScriptedDestination.StartAsync();
        destination.TakesHandover = true;
        destination.OnQueryOutcome = () => new QueryOutcomeResponse { Outcome = outcome };
        destination.OnOrder = (lane, order) =>
        {
            if (order.OrderCase == HandoverOrder.OrderOneofCase.Run)
            {
                lane.Abort("cut");
            }
        };
        string id = (await source.Calls.MigrateAsync(DaemonProcess.Order("g", destination.Address))).Id;
        if (outcome == Outcome.NeverStarted)
        {
            Migration failed = await source.MigrationUntilAsync(id, now => now.State == MigrationState.Failed);
            Assert.Contains("never started", failed.Reason, StringComparison.Ordinal);
            await source.GuestIsWellAsync("g");
        }
        else
        {
            await source.GuestUntilAsync("g", guest => guest.State == GuestState.Migrated);
        }

        Assert.Equal(["Prepare", "lane LoadState", "lane Run", "QueryOutcome"], await FirstCallsAsync(source, destination, 4));
    }

    [MachineFact(Host)]
    public async Task An_operator_who_cancels_while_the_destination_loads_has_the_guest_back()
    {
        using var over = new ManualResetEventSlim();
        await using DaemonProcess source = await SourceAsync("--switchover-timeout", "60s");
        await using ScriptedDestination destination = await ScriptedDestination.StartAsync();
        destination.TakesHandover = true;
        using var loading = new ManualResetEventSlim();
        destination.OnOrder = (_, _) =>
        {
            loading.Set();
            over.Wait();
        };
        try
        {
            string id = (await source.Calls.MigrateAsync(DaemonProcess.Order("g", destination.Address))).Id;
            Assert.True(loading.Wait(Deadline), source.Log);
            await source.Calls.CancelMigrationAsync(new CancelMigrationRequest { Id = id });
            await source.MigrationUntilAsync(id, now => now.State == MigrationState.Cancelled);
            await source.GuestIsWellAsync("g");
        }
        finally
        {
            over.Set();
        }
    }

    [MachineTheory(Host)]
    [InlineData("destination.loading", MigrationMode.Postcopy)]
    [InlineData("destination.loaded", MigrationMode.Postcopy)]
    [InlineData("destination.forget", MigrationMode.Hybrid)]
    public async Task A_step_that_fails_unforeseen_at_the_destination(string step, MigrationMode mode)
    {
        await using DaemonProcess source = await SourceAsync();
        await using DaemonProcess destination = await DaemonProcess.StartAsync(
            "destination", start => start.Environment["MIGRATIOND_FAULT"] = $"{step}:throw");
        string id = await source.BeginMigrationAsync("g", destination, mode);
        await source.MigrationUntilAsync(id, now => now.State == MigrationState.Failed);
        await source.GuestIsWellAsync("g");
        await destination.GoneAsync("g");
    }

    [MachineFact(Host)]
    public async Task A_Run_that_fails_unforeseen_when_the_guest_runs_is_a_Run()
    {
        await using DaemonProcess source = await SourceAsync();
        await using DaemonProcess destination = await DaemonProcess.StartAsync(
            "destination", start => start.Environment["MIGRATIOND_FAULT"] = "destination.running:throw");
        await source.MigrateAsync("g", destination);
        await destination.GuestIsWellAsync("g");
    }

    /// <summary>What was called first. The guest is given away before Run, so that it has is no sign that Run has been called.</summary>
    private static async Task<IEnumerable<string>> FirstCallsAsync(DaemonProcess source, ScriptedDestination destination, int count)
    {
        await source.UntilAsync(
            () => Task.FromResult(destination.Calls.Count >= count),
            () => $"only these were called: {string.Join(", ", destination.Calls)}");
        return destination.Calls.Take(count);
    }

    private static async Task<DaemonProcess> SourceAsync(params string[] options)
    {
        DaemonProcess source = await DaemonProcess.StartAsync("source", options);
        await source.CreateGuestAsync("g", "kvm", "64MiB", "32MiB");
        return source;
    }
}
