using System.Globalization;
using MigrationD.Guest.Interop;
using MigrationD.Guest.Memory;

namespace MigrationD.Benchmarks.Report;

/// <summary>The memory of this machine.</summary>
internal static class HostMemory
{
    private const long ChunkBytes = 1L << 30;

    // The rest is for who else is here.
    private const double UsableShare = 0.9;

    /// <summary>Bytes that could be had now.</summary>
    public static long Available()
    {
        string line = File.ReadLines("/proc/meminfo").First(one => one.StartsWith("MemAvailable:", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) * 1024;
    }

    /// <summary>
    /// Touches so much memory and gives it back: where this machine is a virtual one, its host backs memory at the first touch only, which
    /// takes longer than all that is measured here.
    /// </summary>
    public static void Warm(long bytes)
    {
        bytes = Math.Min(bytes, (long)(Available() * UsableShare));
        var chunks = new List<GuestMemory>();
        try
        {
            for (; bytes > 0; bytes -= ChunkBytes)
            {
                var chunk = GuestMemory.Map(ChunkBytes);
                chunks.Add(chunk);
                _ = Libc.Madvise(chunk.Address, (nuint)chunk.Length, Libc.MemoryAdvice.PopulateWrite);
            }
        }
        finally
        {
            chunks.ForEach(chunk => chunk.Dispose());
        }
    }
}
