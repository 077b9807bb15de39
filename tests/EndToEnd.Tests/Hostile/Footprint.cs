using System.Globalization;

namespace MigrationD.EndToEnd.Tests.Hostile;

/// <summary>What a process holds, as proc(5) has it.</summary>
internal sealed record Footprint(int Threads, int Descriptors, int ResidentMiB)
{
    /// <summary>Asserts that it is hardly more than it was.</summary>
    public void AssertHardlyMoreThan(Footprint before)
    {
        Assert.InRange(Threads - before.Threads, int.MinValue, 16);
        Assert.InRange(Descriptors - before.Descriptors, int.MinValue, 16);
        Assert.InRange(ResidentMiB - before.ResidentMiB, int.MinValue, 64);
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
