using System.Globalization;

namespace MigrationD.Benchmarks.Report;

/// <summary>The memory of this machine.</summary>
internal static class HostMemory
{
    /// <summary>Bytes that could be had now.</summary>
    public static long Available()
    {
        string line = File.ReadLines("/proc/meminfo").First(one => one.StartsWith("MemAvailable:", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) * 1024;
    }
}
