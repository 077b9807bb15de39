using Google.Protobuf;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests;

/// <summary>Whatever goes wrong before Run, the message says what, and the guest goes on where it was.</summary>
public sealed class RefusalTests
{
    private const Needs Host = Needs.Userfaultfd | Needs.Kvm;

    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    [MachineFact(Host)]
    public async Task A_dead_address()
    {
        await using DaemonProcess source = await SourceAsync();
        using var dead = new DeadAddress();
        (await source.CliAsync("migrate", "g", "--to", $"{dead}", "--mode", "postcopy")).Fails($"{dead}", "refused");
        await source.GuestIsWellAsync("g");
    }

    [MachineFact(Host)]
    public async Task Too_little_memory()
    {
        await using DaemonProcess source = await SourceAsync();
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination", "--guest-memory", "16MiB");
        (await source.CliAsync("migrate", "g", "--to", destination.Listen, "--mode", "postcopy")).Fails("memory", "64MiB", "16MiB");
        await source.GuestIsWellAsync("g");
        Assert.Empty(await destination.GuestsAsync());
    }

    [MachineFact(Host)]
    public async Task Lanes_that_cannot_be_dialled()
    {
        await using DaemonProcess source = await SourceAsync();
        await using ScriptedDestination destination = await ScriptedDestination.StartAsync();
        using var dead = new DeadAddress();
        destination.OnPrepare = _ => new PrepareResponse(destination.Prepared) { Lanes = $"{dead}" };
        (await source.CliAsync("migrate", "g", "--to", destination.Address, "--mode", "postcopy")).Fails("lanes");
        await source.GuestIsWellAsync("g");
        // The guest is back before the destination is told.
        Assert.True(SpinWait.SpinUntil(() => destination.Calls.Contains("Abort"), Deadline), string.Join(' ', destination.Calls));
    }

    [MachineFact(Host)]
    public async Task A_device_state_that_is_refused()
    {
        await using DaemonProcess source = await SourceAsync();
        await using ScriptedDestination destination = await ScriptedDestination.StartAsync();
        destination.OnLoadState = _ => throw new Refusal(Because.NotNow, "no such section");
        (await source.CliAsync("migrate", "g", "--to", destination.Address, "--mode", "postcopy")).Fails("no such section");
        await source.GuestIsWellAsync("g");
        Assert.DoesNotContain("Run", destination.Calls);
    }

    [MachineFact(Host)]
    public async Task A_destination_that_dies_while_it_loads()
    {
        await using DaemonProcess source = await SourceAsync();
        ScriptedDestination destination = await ScriptedDestination.StartAsync();
        using var dying = new ManualResetEventSlim();
        destination.OnLoadState = _ =>
        {
            dying.Set();
            throw new OperationCanceledException();
        };
        Task<CommandResult> migrating = source.CliAsync("migrate", "g", "--to", destination.Address, "--mode", "postcopy");
        Assert.True(dying.Wait(TimeSpan.FromSeconds(30)), source.Log);
        await destination.DisposeAsync();
        (await migrating).Fails("migrat");
        await source.GuestIsWellAsync("g");
    }

    [MachineFact(Host)]
    public async Task A_Run_that_is_not_answered_by_a_destination_that_never_started()
    {
        await using DaemonProcess source = await SourceAsync();
        await using ScriptedDestination destination = await ScriptedDestination.StartAsync();
        destination.OnRun = () => throw new Refusal(Because.Unreachable, "cut off");
        (await source.CliAsync("migrate", "g", "--to", destination.Address, "--mode", "postcopy")).Fails("never started");
        Assert.Equal(["Prepare", "LoadState", "Run", "QueryOutcome"], destination.Calls.Take(4));
        await source.GuestIsWellAsync("g");
    }

    [MachineFact(Host)]
    public async Task A_Run_that_is_not_answered_by_a_destination_where_it_runs()
    {
        await using DaemonProcess source = await SourceAsync();
        await using ScriptedDestination destination = await ScriptedDestination.StartAsync();
        int asked = 0;
        destination.OnRun = () => throw new Refusal(Because.Unreachable, "cut off");
        destination.OnQueryOutcome = () => ++asked < 3
            ? throw new Refusal(Because.Unreachable, "still cut off")
            : new QueryOutcomeResponse { Outcome = Outcome.Running };
        (await source.CliAsync("migrate", "g", "--to", destination.Address, "--detach", "--mode", "postcopy")).Succeeds();
        // It is the destination's from before Run was sent, and stays so whatever happens now.
        await source.GuestUntilAsync("g", guest => guest.State == GuestState.Migrated && asked >= 3);
        (await source.CliAsync("guest", "resume", "g")).Fails("migrated away");
        (await source.CliAsync("guest", "delete", "g")).Fails("migrated away");
    }

    [MachineFact(Host)]
    public async Task A_destination_refuses_device_state_that_it_does_not_know_and_forgets_the_guest()
    {
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        using CallChannel channel = CallChannel.Connect(destination.Listen);
        PrepareResponse prepared = await channel.Transport().PrepareAsync(Requests.Prepare("g", "state-test"));
        Assert.Equal(GuestState.Incoming, (await destination.GuestAsync("g")).State);

        Refusal refusal = await Assert.ThrowsAsync<Refusal>(async () => await channel.Transport().LoadStateAsync(
            new LoadStateRequest { Session = prepared.Session, DeviceState = ByteString.CopyFrom(new byte[100]) }));

        Assert.Contains("state", refusal.Message, StringComparison.OrdinalIgnoreCase);
        Assert.Empty(await destination.GuestsAsync());
        QueryOutcomeResponse outcome = await channel.Transport().QueryOutcomeAsync(new QueryOutcomeRequest { Session = prepared.Session });
        Assert.Equal(Outcome.NeverStarted, outcome.Outcome);
        await Assert.ThrowsAsync<Refusal>(async () => await channel.Transport().RunAsync(new RunRequest { Session = prepared.Session }));
    }

    private static async Task<DaemonProcess> SourceAsync()
    {
        DaemonProcess source = await DaemonProcess.StartAsync("source");
        await source.CreateGuestAsync("g", "kvm", "64MiB", "32MiB");
        return source;
    }
}
