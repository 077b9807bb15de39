using System.Diagnostics;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.V1;
using GuestMessage = MigrationD.Protocol.V1.Guest;

namespace MigrationD.EndToEnd.Tests;

/// <summary>The steps of a test, with what each of them must come to.</summary>
internal sealed partial class DaemonProcess
{
    /// <summary>Runs a command of the CLI against this daemon.</summary>
    public Task<CommandResult> CliAsync(params string[] arguments) => CliAsync(ProgramUnderTest.Program, arguments);

    /// <summary>Runs a command of a program's CLI against this daemon.</summary>
    public async Task<CommandResult> CliAsync(MigrationdProgram program, params string[] arguments)
    {
        using Process process = Process.Start(program.Start([.. arguments, "--control", Control]))!;
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        using var deadline = new CancellationTokenSource(Deadline);
        try
        {
            await process.WaitForExitAsync(deadline.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill();
            throw new TimeoutException($"migrationd {string.Join(' ', arguments)} did not end within {Deadline}; the daemon's log:\n{Log}");
        }

        return new CommandResult($"migrationd {string.Join(' ', arguments)}", process.ExitCode, await output, await error);
    }

    /// <summary>Creates a guest and waits until it has written every page of its working set once.</summary>
    public async Task CreateGuestAsync(
        string name, string kind, string memory, string workingSet, int vcpus = 2, string pattern = "uniform", string content = "random")
    {
        (await CliAsync(
            "guest", "create", name, "--kind", kind, "--memory", memory, "--working-set", workingSet, "--vcpus", $"{vcpus}",
            "--pattern", pattern, "--content", content))
            .Succeeds();
        await GuestUntilAsync(name, guest => guest.Report.Sweeps >= 1);
    }

    /// <summary>Moves a guest and waits for the end.</summary>
    public Task<Migration> MigrateAsync(string name, DaemonProcess destination, MigrationMode mode = MigrationMode.Postcopy) =>
        MigrateAsync(Order(name, destination.Listen, mode), destination);

    /// <summary>Carries out an order to move a guest, and waits for the end.</summary>
    public async Task<Migration> MigrateAsync(MigrateRequest order, DaemonProcess destination)
    {
        Migration migration = await Calls.MigrateAsync(order);
        using var deadline = new CancellationTokenSource(Deadline);
        try
        {
            await foreach (Migration now in Calls.WatchMigration(new WatchMigrationRequest { Id = migration.Id }).ReadToEndAsync(deadline.Token))
            {
                migration = now;
            }
        }
        catch (Exception error) when (deadline.IsCancellationRequested)
        {
            throw new TimeoutException(
                $"the migration did not end within {Deadline}: {migration}\n--- source\n{Log}\n--- destination\n{destination.Log}", error);
        }

        Assert.True(migration.State == MigrationState.Completed, $"{migration}\n{Log}\n{destination.Log}");
        return migration;
    }

    /// <summary>Asserts that the guest runs here, makes steps, and after a whole look at its memory has found nothing wrong.</summary>
    public async Task GuestIsWellAsync(string name)
    {
        ulong sweeps = (await GuestAsync(name)).Report.Sweeps;
        // A sweep under way may have begun elsewhere; the second one is of this node alone.
        GuestMessage guest = await GuestUntilAsync(name, one => one.State != GuestState.Running || one.Report.Sweeps >= sweeps + 2);
        Assert.Equal(GuestState.Running, guest.State);
        Assert.Equal(0UL, guest.Report.CorruptPages);
    }

    /// <summary>Waits until the log has these words: its lines come by a pipe of their own.</summary>
    public Task LogUntilAsync(string words) => UntilAsync(
        () => Task.FromResult(Log.Contains(words, StringComparison.Ordinal)), () => $"the log does not say '{words}'");

    /// <summary>SHA-256 of a paused guest's memory.</summary>
    public async Task<string> HashAsync(string name) => (string)(await CliAsync("guest", "hash", name, "--json")).Succeeds().Json["sha256"]!;

    /// <summary>Waits until there is no guest of this name.</summary>
    public Task GoneAsync(string name) => GuestsUntilAsync(guests => guests.All(guest => guest.Spec.Name != name));

    /// <summary>Waits until the guests are as wanted.</summary>
    public async Task GuestsUntilAsync(Func<IReadOnlyList<GuestMessage>, bool> wanted)
    {
        IReadOnlyList<GuestMessage> guests = [];
        await UntilAsync(
            async () => wanted(guests = await GuestsAsync()), () => $"the guests are not as wanted: {string.Join('\n', guests)}");
    }
}
