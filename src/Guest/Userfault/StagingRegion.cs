using MigrationD.Guest.Interop;
using MigrationD.Guest.Memory;

namespace MigrationD.Guest.Userfault;

/// <summary>
/// A temporary region of one receiving thread: pages are received into it and moved out of it, which leaves holes that are populated
/// anew. Anonymous and kept out of children (MADV_DONTFORK): a page shared with a child could not be moved. Its mapping never changes,
/// so the number of mappings does not grow with the pages that go through.
/// </summary>
internal sealed unsafe class StagingRegion : IDisposable
{
    private readonly nint _mapping;
    private readonly nuint _mappingLength;
    private bool _disposed;

    private StagingRegion(nint mapping, nuint mappingLength, nint address, int length)
    {
        _mapping = mapping;
        _mappingLength = mappingLength;
        Address = address;
        Length = length;
    }

    /// <summary>Where it starts; a multiple of 2 MiB for a region of blocks, of 4 KiB for one of small pages.</summary>
    public nint Address { get; }

    /// <summary>Bytes.</summary>
    public int Length { get; }

    /// <summary>A region that small pages are received into.</summary>
    /// <exception cref="SystemCallException">mmap or madvise failed.</exception>
    public static StagingRegion OfSmallPages(int pageCount)
    {
        int length = pageCount * GuestPage.Size;
        nint mapping = Map((nuint)length);
        var region = new StagingRegion(mapping, (nuint)length, mapping, length);
        region.Prepare(Libc.MemoryAdvice.NoHugePage);
        return region;
    }

    /// <summary>A region that one whole block is received into; a huge page where the host has one to give.</summary>
    /// <exception cref="SystemCallException">mmap or madvise failed.</exception>
    public static StagingRegion OfOneBlock()
    {
        // One block more than needed, to find an aligned one in it; what sticks out is never touched and costs no memory.
        nuint length = 2 * GuestPage.BlockSize;
        nint mapping = Map(length);
        nint address = (mapping + GuestPage.BlockSize - 1) & ~(nint)(GuestPage.BlockSize - 1);
        var region = new StagingRegion(mapping, length, address, GuestPage.BlockSize);
        region.Prepare(Libc.MemoryAdvice.HugePage);
        return region;
    }

    /// <summary>Puts fresh pages into the holes of a part of the region; pages that are there stay as they are.</summary>
    /// <exception cref="SystemCallException">The host has no memory left.</exception>
    public void Populate(int offset, int length)
    {
        while (Libc.Madvise(Address + offset, (nuint)length, Libc.MemoryAdvice.PopulateWrite) != 0)
        {
            if (SystemCallException.LastError is not (Errno.EINTR or Errno.EAGAIN))
            {
                throw SystemCallException.FromLast($"madvise PopulateWrite staging address=0x{Address + offset:x} length=0x{length:x}");
            }
        }
    }

    /// <summary>Throws the pages away, so that the next <see cref="Populate"/> can bring a huge page.</summary>
    /// <exception cref="SystemCallException">madvise failed.</exception>
    public void Clear()
    {
        if (Libc.Madvise(Address, (nuint)Length, Libc.MemoryAdvice.DontNeed) != 0)
        {
            throw SystemCallException.FromLast($"madvise DontNeed staging address=0x{Address:x} length=0x{Length:x}");
        }
    }

    /// <summary>
    /// A part of the region, to receive into. Safe as a Span, unlike guest memory: it is registered with no userfaultfd, so whoever
    /// touches a hole gets a page of zeros from the kernel at once.
    /// </summary>
    public Span<byte> Slice(int offset, int length) => new((byte*)Address + offset, length);

    /// <summary>Unmaps the region.</summary>
    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            _ = Libc.Munmap(_mapping, _mappingLength);
        }
    }

    private static nint Map(nuint length)
    {
        nint mapping = Libc.Mmap(
            0,
            length,
            Libc.MemoryProtection.Read | Libc.MemoryProtection.Write,
            Libc.MapFlags.Private | Libc.MapFlags.Anonymous | Libc.MapFlags.NoReserve,
            -1,
            0);
        return mapping != Libc.MapFailed ? mapping : throw SystemCallException.FromLast($"mmap length=0x{length:x} for staging");
    }

    private void Prepare(Libc.MemoryAdvice pages)
    {
        try
        {
            Advise(Libc.MemoryAdvice.DontFork, required: true);
            Advise(pages, required: false);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    private void Advise(Libc.MemoryAdvice advice, bool required)
    {
        // The whole mapping, also what sticks out of a block region: one mapping stays one mapping.
        if (Libc.Madvise(_mapping, _mappingLength, advice) != 0 && (required || SystemCallException.LastError != Errno.EINVAL))
        {
            throw SystemCallException.FromLast($"madvise {advice} staging address=0x{_mapping:x} length=0x{_mappingLength:x}");
        }
    }
}
