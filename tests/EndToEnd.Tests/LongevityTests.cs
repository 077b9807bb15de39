using System.Globalization;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests;

/// <summary>What a migration takes it gives back: a daemon that has moved guests five hundred times is as large as after a hundred.</summary>
public sealed class LongevityTests(ITestOutputHelper output)
{
    private const int Warm = 100;
    private const int Migrations = 500;

    [MachineTheory(Needs.Userfaultfd | Needs.Kvm)]
    [InlineData("kvm")]
    public async Task Five_hundred_migrations_leave_nothing_behind(string kind)
    {
        // Otherwise the heap grows for as long as the machine has memory to give, and says nothing about what is still in use.
        await using DaemonProcess one = await DaemonProcess.StartAsync("one", start => start.Environment["DOTNET_GCConserveMemory"] = "5");
        await using DaemonProcess two = await DaemonProcess.StartAsync("two", start => start.Environment["DOTNET_GCConserveMemory"] = "5");
        await one.CreateGuestAsync("g", kind, "16MiB", "4MiB", vcpus: 1);
        var before = new Dictionary<DaemonProcess, Footprint>();
        for (int migration = 0; migration < Migrations; migration += 2)
        {
            await one.MigrateAsync("g", two);
            await two.MigrateAsync("g", one);
            if (migration + 2 == Warm)
            {
                before[one] = await Footprint.OfAsync(one);
                before[two] = await Footprint.OfAsync(two);
            }
        }

        await one.GuestIsWellAsync("g");
        foreach ((DaemonProcess daemon, Footprint then) in before)
        {
            Footprint now = await Footprint.OfAsync(daemon);
            output.WriteLine($"after {Warm}: {then}; after {Migrations}: {now}");
            string both = $"{then}, then {now}";
            // Connections and threads of the pool come and go; 400 migrations that each left one would be seen at once.
            Assert.True(now.Descriptors <= then.Descriptors + 20, both);
            Assert.True(now.Threads <= then.Threads + 20, both);
            Assert.True(now.Mappings <= then.Mappings + 100, both);
            // 900 more records and remembered sessions of some KiB each are kept on purpose; guests' memories would be 6400 MiB.
            Assert.True(now.ResidentMiB <= then.ResidentMiB + 48, both);
        }
    }

    /// <summary>What a daemon holds of the machine.</summary>
    private sealed record Footprint(int Descriptors, int Threads, int Mappings, long ResidentMiB, ulong ManagedMiBAllocated, ulong Collections)
    {
        public static async Task<Footprint> OfAsync(DaemonProcess daemon)
        {
            Node node = await daemon.Calls.GetNodeAsync(new GetNodeRequest());
            string proc = $"/proc/{daemon.ProcessId}";
            string resident = File.ReadLines($"{proc}/status").First(line => line.StartsWith("VmRSS:", StringComparison.Ordinal));
            return new Footprint(
                Directory.GetFileSystemEntries($"{proc}/fd").Length,
                Directory.GetDirectories($"{proc}/task").Length,
                File.ReadLines($"{proc}/maps").Count(),
                long.Parse(resident.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) >> 10,
                node.ManagedBytesAllocated >> 20,
                node.Collections);
        }
    }
}
