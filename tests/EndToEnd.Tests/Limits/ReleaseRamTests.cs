using System.Globalization;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests.Limits;

/// <summary>A source that gives memory back while its guest's pages are still on their way, as the kernel counts it.</summary>
public sealed class ReleaseRamTests
{
    private const Needs Host = Needs.Userfaultfd | Needs.Kvm;
    private const long Mebibyte = 1 << 20;

    [MachineTheory(Host)]
    [InlineData("kvm", MigrationMode.Postcopy)]
    [InlineData("workload", MigrationMode.Postcopy)]
    [InlineData("kvm", MigrationMode.Hybrid)]
    public async Task Memory_is_given_back_as_it_is_confirmed(string kind, MigrationMode mode)
    {
        await using var source = await DaemonProcess.StartAsync("source");
        await using var destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", kind, "64MiB", "48MiB");
        if (mode == MigrationMode.Postcopy)
        {
            // It asks for nothing, so that what comes is what is pushed.
            await source.Calls.PauseGuestAsync(new PauseGuestRequest { Name = "g" });
        }

        long before = GuestMemoryOf(source);
        Assert.InRange(before, 48 * Mebibyte, 65 * Mebibyte);

        // Slow enough to be looked at on the way, and for the last pages to be held until then.
        string id = await BeginAsync(source, destination, mode, 8 * Mebibyte);
        Migration half = await source.MigrationUntilAsync(id, one => one.ReleasedBytes >= 16 * Mebibyte || one.IsEnded());
        // Blocks that were never touched are given back as well, and a block is counted a moment before it is gone.
        Assert.InRange(GuestMemoryOf(source), 0, (66 * Mebibyte) - (long)half.ReleasedBytes);
        Assert.True(mode == MigrationMode.Hybrid || !half.IsEnded(), half.ToString());

        Migration ended = await source.MigrationUntilAsync(id, one => one.IsEnded());
        Assert.True(ended.State == MigrationState.Completed, ended.ToString());
        Assert.Equal(0, GuestMemoryOf(source));
        await destination.Calls.ResumeGuestAsync(new ResumeGuestRequest { Name = "g" });
        await destination.GuestIsWellAsync("g");
    }

    [MachineFact(Host)]
    public async Task Memory_is_kept_without_the_option()
    {
        await using var source = await DaemonProcess.StartAsync("source");
        await using var destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", "kvm", "64MiB", "48MiB");
        await source.Calls.PauseGuestAsync(new PauseGuestRequest { Name = "g" });
        long before = GuestMemoryOf(source);
        string id = await BeginAsync(source, destination, MigrationMode.Postcopy, 8 * Mebibyte, release: false);
        Migration half = await source.MigrationUntilAsync(
            id, one => one.State == MigrationState.PostcopyActive && one.PagesReceived >= 32 * Mebibyte / 4096);
        Assert.Equal(0UL, half.ReleasedBytes);
        Assert.InRange(GuestMemoryOf(source), before, before + (2 * Mebibyte));
        await source.Calls.SetMigrationAsync(new SetMigrationRequest { Id = id, PostcopyBandwidth = 0 });
        await source.MigrationUntilAsync(id, one => one.State == MigrationState.Completed);
    }

    [MachineFact(Host | Needs.NetworkNamespaces)]
    public async Task A_lost_link_is_restored_and_the_guest_cannot_be_taken_back()
    {
        using NetworkPair network = NetworkPair.Create();
        string[] options = ["--link-timeout", "2s", "--switchover-timeout", "10s"];
        await using var source = await DaemonProcess.StartAsync("source", network.One.Enter, options);
        await using var destination = await DaemonProcess.StartAsync("destination", network.Two.Enter, options);
        await source.CreateGuestAsync("g", "kvm", "64MiB", "48MiB");
        await source.Calls.PauseGuestAsync(new PauseGuestRequest { Name = "g" });
        CommandResult begun = await source.CliAsync(
            "migrate", "g", "--to", destination.Listen, "--mode", "postcopy", "--postcopy-bandwidth", "8MiB/s", "--release-ram", "--detach");
        Assert.Contains("WARNING", begun.Succeeds().Error, StringComparison.Ordinal);
        string id = (await source.Calls.ListMigrationsAsync(new ListMigrationsRequest())).Migrations.Single().Id;
        for (uint cut = 1; cut <= 2; cut++)
        {
            await source.MigrationUntilAsync(id, one => one.ReleasedBytes >= (ulong)(cut * 12 * Mebibyte));
            network.StartResetting();
            Migration paused = await source.MigrationUntilAsync(id, one => one.State == MigrationState.PostcopyPaused);
            Assert.Contains("those that have not been confirmed", paused.Reason, StringComparison.Ordinal);
            (await source.CliAsync("migration", "resolve", id, "--resume-here", "--force")).Fails("--release-ram", "migration recover");
            network.StopResetting();
            await source.MigrationUntilAsync(id, one => one.Recoveries >= cut && one.State == MigrationState.PostcopyActive);
        }

        await source.Calls.SetMigrationAsync(new SetMigrationRequest { Id = id, PostcopyBandwidth = 0 });
        Migration ended = await source.MigrationUntilAsync(id, one => one.IsEnded());
        Assert.True(ended.State == MigrationState.Completed, ended.ToString());
        await destination.Calls.ResumeGuestAsync(new ResumeGuestRequest { Name = "g" });
        await destination.GuestIsWellAsync("g");
    }

    private static async Task<string> BeginAsync(
        DaemonProcess source, DaemonProcess destination, MigrationMode mode, long bandwidth, bool release = true) =>
        (await source.Calls.MigrateAsync(new MigrateRequest
            {
                Guest = "g",
                To = destination.Listen,
                Mode = mode,
                PostcopyBandwidth = (ulong)bandwidth,
                ReleaseRam = release,
            })).Id;

    /// <summary>How much of guests' memory is there, in bytes: mappings that children do not get and that may be huge are nothing else.</summary>
    private static long GuestMemoryOf(DaemonProcess daemon)
    {
        long bytes = 0;
        long ofThis = 0;
        foreach (string line in File.ReadLines($"/proc/{daemon.ProcessId}/smaps"))
        {
            if (line.StartsWith("Rss:", StringComparison.Ordinal))
            {
                ofThis = 1024 * long.Parse(line["Rss:".Length..^"kB".Length].Trim(), CultureInfo.InvariantCulture);
            }
            else if (line.StartsWith("VmFlags:", StringComparison.Ordinal) && line.Contains(" dc ", StringComparison.Ordinal)
                && line.Contains(" hg", StringComparison.Ordinal))
            {
                bytes += ofThis;
            }
        }

        return bytes;
    }
}
