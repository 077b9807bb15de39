using System.Diagnostics;
using System.Runtime.InteropServices;
using MigrationD.Benchmarks.Report;
using MigrationD.Guest.Interop;
using MigrationD.Guest.Memory;
using MigrationD.Guest.Userfault;

namespace MigrationD.Benchmarks.Place;

/// <summary>
/// Fills a memory that is registered with a userfaultfd, unit by unit and in no order, as a guest's faults come, and looks afterwards
/// whether every page is where it belongs.
/// </summary>
internal static unsafe partial class PlaceRound
{
    /// <summary>Small enough for mremap, which leaves a mapping for each unit: a process may have 65,530 (vm.max_map_count).</summary>
    public const int RegionBytes = 64 << 20;

    private const int RemapMayMove = 1;
    private const int RemapFixed = 2;
    private const int Seed = 20;

    public static PlaceFigures Run(PlaceCase wanted)
    {
        // For the memory, its staging and the staging's refill.
        new WarmReserve(3L * RegionBytes).Dispose();
        using GuestMemory destination = GuestMemory.Map(RegionBytes);
        using Userfaultfd userfaultfd = Userfaultfd.Open(UserfaultfdFeatures.Move);
        Check(userfaultfd.Register(destination.Address, destination.Length), "UFFDIO_REGISTER");
        GuestMemory staging = Staging(wanted);
        int[] order = [.. Enumerable.Range(0, RegionBytes / wanted.UnitBytes)];
        new Random(Seed).Shuffle(order);

        long ticks = 0;
        for (int i = 0; i < order.Length; i++)
        {
            nint to = destination.Address + ((nint)order[i] * wanted.UnitBytes);
            nint from = staging.Address + (wanted.Way == PlaceWay.Copy ? 0 : (nint)i * wanted.UnitBytes);
            Receive(from, wanted.UnitBytes, order[i]);
            long start = Stopwatch.GetTimestamp();
            Place(userfaultfd, wanted, to, from);
            ticks += Stopwatch.GetTimestamp() - start;
        }

        Verify(destination, wanted.UnitBytes);
        (int mappings, double huge) = ProcessMemory.At(destination.Address, RegionBytes);
        TimeSpan refill = Refill(wanted, ref staging);
        staging.Dispose();
        double pages = RegionBytes / GuestPage.Size;
        return new PlaceFigures(
            Stopwatch.GetElapsedTime(0, ticks).TotalMicroseconds / pages, refill.TotalMicroseconds / pages, mappings, huge);
    }

    private static GuestMemory Staging(PlaceCase wanted)
    {
        GuestMemory staging = GuestMemory.Map(RegionBytes);
        staging.AllowHugeFaults(wanted.Huge);
        Populate(staging);
        return staging;
    }

    private static void Place(Userfaultfd userfaultfd, PlaceCase wanted, nint to, nint from)
    {
        long length = wanted.UnitBytes;
        switch (wanted.Way)
        {
            case PlaceWay.Move:
                Check(userfaultfd.Move(to, from, length, out _), "UFFDIO_MOVE");
                break;
            case PlaceWay.Copy:
                Check(userfaultfd.Copy(to, from, length, out _), "UFFDIO_COPY");
                break;
            case PlaceWay.CopyAndDiscard:
                Check(userfaultfd.Copy(to, from, length, out _), "UFFDIO_COPY");
                Check(Libc.Madvise(from, (nuint)length, Libc.MemoryAdvice.DontNeed) == 0, "madvise");
                break;
            default:
                Check(Mremap(from, (nuint)length, (nuint)length, RemapMayMove | RemapFixed, to) == to, "mremap");
                break;
        }
    }

    /// <summary>As if a socket had been read: the content is in the caches, and its first word is the unit's number.</summary>
    private static void Receive(nint address, int length, int unit)
    {
        // Staging is registered with no userfaultfd: managed code may touch it.
        var bytes = new Span<byte>((byte*)address, length);
        bytes.Fill(0x5a);
        MemoryMarshal.Write(bytes, unit);
    }

    private static void Verify(GuestMemory memory, int unitBytes)
    {
        Span<byte> word = stackalloc byte[sizeof(int)];
        for (int unit = 0; unit < RegionBytes / unitBytes; unit++)
        {
            memory.Read((long)unit * unitBytes, word);
            int found = MemoryMarshal.Read<int>(word);
            if (found != unit)
            {
                throw new BenchmarkException($"unit {unit} of {unitBytes} bytes holds what belongs to unit {found}");
            }
        }
    }

    private static TimeSpan Refill(PlaceCase wanted, ref GuestMemory staging)
    {
        long start = Stopwatch.GetTimestamp();
        switch (wanted.Way)
        {
            case PlaceWay.Copy:
                // The buffer is as it was.
                return TimeSpan.Zero;
            case PlaceWay.Remap:
                // Every unit of it is gone, mapping and all, and other mappings may have come to lie there: there is nothing to unmap.
                staging = Staging(wanted);
                break;
            default:
                Populate(staging);
                break;
        }

        return Stopwatch.GetElapsedTime(start);
    }

    private static void Populate(GuestMemory memory) => Check(
        Libc.Madvise(memory.Address, (nuint)memory.Length, Libc.MemoryAdvice.PopulateWrite) == 0, "madvise PopulateWrite");

    private static void Check(bool worked, string call) => Check(worked ? Errno.None : SystemCallException.LastError, call);

    private static void Check(Errno error, string call)
    {
        if (error != Errno.None)
        {
            throw new BenchmarkException($"{call}: {error}; migrationd doctor says what this host lacks");
        }
    }

    [LibraryImport("libc", EntryPoint = "mremap", SetLastError = true)]
    private static partial nint Mremap(nint from, nuint oldLength, nuint newLength, int flags, nint to);
}
