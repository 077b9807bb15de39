using System.Globalization;

namespace MigrationD.Benchmarks;

/// <summary>What the kernel says about a process (proc(5)).</summary>
internal static class ProcessMemory
{
    private const long LargestNeighbour = 64L << 20;
    private const double ClockTicksPerSecond = 100;

    /// <summary>The share of a guest's memory that is in huge pages, of the mapping in this process that can only be that memory.</summary>
    /// <returns>0 to 1; 0 when there is no such mapping.</returns>
    public static double HugeShare(int process, long memoryBytes)
    {
        // Guest memory is the mapping of that size which is kept out of children ("dc"); the kernel may have joined a small one to it.
        (long size, long huge) = (0, 0);
        double share = 0;
        foreach (string line in File.ReadLines($"/proc/{process}/smaps"))
        {
            if (line.StartsWith("Size:", StringComparison.Ordinal))
            {
                size = Kilobytes(line);
            }
            else if (line.StartsWith("AnonHugePages:", StringComparison.Ordinal))
            {
                huge = Kilobytes(line);
            }
            else if (line.StartsWith("VmFlags:", StringComparison.Ordinal)
                && line.Contains(" dc", StringComparison.Ordinal)
                && size >= memoryBytes && size <= memoryBytes + LargestNeighbour)
            {
                share = Math.Max(share, (double)huge / memoryBytes);
            }
        }

        return share;
    }

    /// <summary>What lies at a range of this process: how many mappings, and what share of the range is in huge pages.</summary>
    public static (int Mappings, double HugeShare) At(nint address, long length)
    {
        (bool inside, int mappings, long huge) = (false, 0, 0);
        foreach (string line in File.ReadLines("/proc/self/smaps"))
        {
            // A mapping begins with its two addresses in lower-case hexadecimal; every field of it with an upper-case letter.
            if (!char.IsAsciiLetterUpper(line[0]))
            {
                nint start = nint.Parse(line.AsSpan(0, line.IndexOf('-')), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
                inside = start >= address && start < address + (nint)length;
                mappings += inside ? 1 : 0;
            }
            else if (inside && line.StartsWith("AnonHugePages:", StringComparison.Ordinal))
            {
                huge += Kilobytes(line);
            }
        }

        return (mappings, (double)huge / length);
    }

    /// <summary>Bytes of the process that are in memory.</summary>
    public static long ResidentBytes(int process) =>
        Kilobytes(File.ReadLines($"/proc/{process}/status").First(line => line.StartsWith("VmRSS:", StringComparison.Ordinal)));

    /// <summary>CPU time that the process has used, in seconds.</summary>
    public static double CpuSeconds(int process)
    {
        string stat = File.ReadAllText($"/proc/{process}/stat");

        // The program's name may hold spaces; what follows its closing bracket is field 3 on.
        string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        return (Ticks(fields[11]) + Ticks(fields[12])) / ClockTicksPerSecond;

        static double Ticks(string field) => double.Parse(field, CultureInfo.InvariantCulture);
    }

    private static long Kilobytes(string line) =>
        long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) * 1024;
}
