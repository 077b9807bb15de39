namespace MigrationD.Guest.Userfault;

/// <summary>
/// A temporary region of one receiving thread: pages are received into it and moved out of it, which leaves holes that are populated
/// anew. Anonymous and kept out of children (MADV_DONTFORK): a page shared with a child could not be moved. Its mapping never changes,
/// so the number of mappings does not grow with the pages that go through.
/// </summary>
internal sealed unsafe class StagingRegion : IDisposable
{
    private const string Owner = "staging";

    private bool _disposed;

    private StagingRegion(int length, int alignment, Libc.MemoryAdvice pages)
    {
        Length = length;
        Address = AnonymousMemory.Map(length, alignment, Owner);
        try
        {
            AnonymousMemory.Advise(Address, length, pages, Owner);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Where it starts; a multiple of 2 MiB for a region of blocks, of 4 KiB for one of small pages.</summary>
    public nint Address { get; }

    public int Length { get; }

    /// <summary>A region that small pages are received into.</summary>
    public static StagingRegion OfSmallPages(int pageCount) =>
        new(pageCount * GuestPage.Size, GuestPage.Size, Libc.MemoryAdvice.NoHugePage);

    /// <summary>A region that one whole block is received into; a huge page where the host has one to give.</summary>
    public static StagingRegion OfOneBlock() => new(GuestPage.BlockSize, GuestPage.BlockSize, Libc.MemoryAdvice.HugePage);

    /// <summary>Puts fresh pages into the holes of a part of the region; pages that are there stay as they are.</summary>
    /// <exception cref="SystemCallException">The host has no memory left.</exception>
    public void Populate(int offset, int length)
    {
        while (Libc.Madvise(Address + offset, (nuint)length, Libc.MemoryAdvice.PopulateWrite) != 0)
        {
            if (SystemCallException.LastError is not (Errno.EINTR or Errno.EAGAIN))
            {
                throw SystemCallException.FromLast($"madvise PopulateWrite address=0x{Address + offset:x} length=0x{length:x} of {Owner}");
            }
        }
    }

    /// <summary>Throws the pages away, so that the next <see cref="Populate"/> can bring a huge page.</summary>
    public void Clear() => AnonymousMemory.Advise(Address, Length, Libc.MemoryAdvice.DontNeed, Owner);

    /// <summary>
    /// A part of the region, to receive into. Safe as a Span, unlike guest memory: it is registered with no userfaultfd, so a thread that
    /// touches a hole gets a page of zeros from the kernel at once.
    /// </summary>
    public Span<byte> Slice(int offset, int length) => new((byte*)Address + offset, length);

    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            AnonymousMemory.Unmap(Address, Length);
        }
    }
}
