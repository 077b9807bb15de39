using System.Globalization;
using System.Runtime.InteropServices;
using MigrationD.EndToEnd.Tests;

namespace MigrationD.Benchmarks.Report;

/// <summary>What the figures were taken on.</summary>
internal sealed record MachineFacts(
    string Cpu, int Cores, string Kernel, double MemoryGiB, string HugePages, string Runtime, string Date, string CommandLine)
{
    /// <summary>This machine, now.</summary>
    public static MachineFacts Read(IEnumerable<string> arguments) => new(
        ReadField("/proc/cpuinfo", "model name") ?? RuntimeInformation.ProcessArchitecture.ToString(),
        Environment.ProcessorCount,
        $"Linux {File.ReadAllText("/proc/sys/kernel/osrelease").Trim()}, {RuntimeInformation.OSDescription}",
        Math.Round(
            double.Parse(ReadField("/proc/meminfo", "MemTotal")?.Split(' ')[0] ?? "0", CultureInfo.InvariantCulture) / (1024 * 1024), 1),
        ReadHugePages(),
        $".NET {Environment.Version}{(ProgramUnderTest.Program.IsNative ? ", native daemons" : "")}",
        DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture),
        $"dotnet run --project tests/Benchmarks -c Release -- {string.Join(' ', arguments)}".TrimEnd(' ', '-'));

    private static string? ReadField(string file, string name) => File.ReadLines(file)
        .FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal))?.Split(':', 2)[1].Trim();

    private static string ReadHugePages()
    {
        const string Setting = "/sys/kernel/mm/transparent_hugepage/enabled";
        return File.Exists(Setting) ? File.ReadAllText(Setting).Trim() : "not built into the kernel";
    }
}
