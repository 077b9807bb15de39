using System.Globalization;

namespace MigrationD.EndToEnd.Tests.Hostile;

/// <summary>What a process holds, as proc(5) has it.</summary>
internal sealed record Footprint(int Threads, int Descriptors, int ResidentMiB)
{
    public static Footprint Of(DaemonProcess daemon)
    {
        string[] status = File.ReadAllLines($"/proc/{daemon.ProcessId}/status");
        return new Footprint(
            Field("Threads"), Directory.GetFileSystemEntries($"/proc/{daemon.ProcessId}/fd").Length, Field("VmRSS") / 1024);

        int Field(string name) => int.Parse(
            status.Single(line => line.StartsWith(name + ':', StringComparison.Ordinal)).Split([' ', '\t', ':'], StringSplitOptions.RemoveEmptyEntries)[1],
            CultureInfo.InvariantCulture);
    }
}
