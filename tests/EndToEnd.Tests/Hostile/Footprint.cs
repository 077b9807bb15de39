using System.Diagnostics;
using System.Globalization;

namespace MigrationD.EndToEnd.Tests.Hostile;

/// <summary>What a process holds, as proc(5) has it.</summary>
internal sealed record Footprint(int Threads, int Descriptors, int ResidentMiB)
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    /// <summary>
    /// Waits until a daemon holds hardly more than it did: what has ended is given back a moment later, and what has leaked never is.
    /// </summary>
    /// <param name="daemon">The daemon.</param>
    /// <param name="before">What it held.</param>
    /// <param name="threads">How many threads more may be there; those of the pool come and go.</param>
    /// <param name="descriptors">How many descriptors more; the runtime has its own.</param>
    /// <param name="mebibytes">How much more memory; the collector gives heaps back when it likes.</param>
    public static async Task<Footprint> SettledAsync(
        DaemonProcess daemon, Footprint before, int threads = 16, int descriptors = 16, int mebibytes = 64)
    {
        var clock = Stopwatch.StartNew();
        while (true)
        {
            Footprint now = Of(daemon);
            if (now.Threads <= before.Threads + threads && now.Descriptors <= before.Descriptors + descriptors
                && now.ResidentMiB <= before.ResidentMiB + mebibytes)
            {
                return now;
            }

            Assert.True(clock.Elapsed < Deadline, $"{before} before, {now} still\n{daemon.Log}");
            await Task.Delay(50);
        }
    }

    public static Footprint Of(DaemonProcess daemon)
    {
        string[] status = File.ReadAllLines($"/proc/{daemon.ProcessId}/status");
        return new Footprint(
            Field("Threads"), Directory.GetFileSystemEntries($"/proc/{daemon.ProcessId}/fd").Length, Field("VmRSS") / 1024);

        int Field(string name) => int.Parse(
            status.Single(line => line.StartsWith(name + ':', StringComparison.Ordinal))
                .Split([' ', '\t', ':'], StringSplitOptions.RemoveEmptyEntries)[1],
            CultureInfo.InvariantCulture);
    }
}
