using MigrationD.Guest.Threads;

namespace MigrationD.Guest.Memory;

/// <summary>
/// A guest's RAM block: one anonymous private mapping, 2 MiB aligned, kept out of children (MADV_DONTFORK) and backed by huge
/// pages where the host has them (MADV_HUGEPAGE).
/// </summary>
/// <remarks>
/// All host access goes through this type, because a page may be missing: reads and writes are native copies, and no Span over
/// guest RAM exists anywhere. A thread that carries pages (lane threads, Kestrel, the thread pool) must not call <see cref="Read"/>
/// or <see cref="Write"/> on memory that is still coming.
/// </remarks>
public sealed unsafe class GuestMemory : IDisposable
{
    private const string Owner = "guest memory";

    private int _disposed;
    private bool _revoked;
    private HostWrites? _hostWrites;

    private GuestMemory(nint address, long length)
    {
        Address = address;
        Length = length;
    }

    /// <summary>Where the block starts in this process; a multiple of 2 MiB. For the kernel and native code only.</summary>
    public nint Address { get; }

    /// <summary>Bytes; a multiple of 2 MiB.</summary>
    public long Length { get; }

    /// <summary>Pages of 4096 bytes.</summary>
    public long PageCount => Length / GuestPage.Size;

    /// <summary>Blocks of 2 MiB.</summary>
    public long BlockCount => Length / GuestPage.BlockSize;

    /// <summary>Maps <paramref name="length"/> bytes of zeros; nothing is backed until it is touched.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="length"/> is not a positive multiple of 2 MiB.</exception>
    /// <exception cref="SystemCallException">mmap or madvise failed.</exception>
    public static GuestMemory Map(long length)
    {
        if (length <= 0 || length % GuestPage.BlockSize != 0)
        {
            throw new ArgumentOutOfRangeException(nameof(length), length, "guest memory is a positive multiple of 2 MiB");
        }

        var memory = new GuestMemory(AnonymousMemory.Map(length, GuestPage.BlockSize, Owner), length);
        try
        {
            memory.AllowHugeFaults(true);
            return memory;
        }
        catch
        {
            memory.Dispose();
            throw;
        }
    }

    /// <summary>Copies guest memory into <paramref name="into"/>; waits for pages that are missing.</summary>
    /// <exception cref="InvalidOperationException">The memory was given up while pages were missing.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside the block.</exception>
    public void Read(long offset, Span<byte> into)
    {
        byte* source = Locate(offset, into.Length);
        fixed (byte* destination = into)
        {
            NativeCopy.Copy(destination, source, into.Length);
        }
    }

    /// <summary>Copies as <see cref="Read"/> does, or false, partly copied, when the thread is kicked (<see cref="KickSignal"/>).</summary>
    internal bool TryRead(long offset, Span<byte> into)
    {
        byte* source = Locate(offset, into.Length);
        fixed (byte* destination = into)
        {
            return KickSignal.TryCopy(destination, source, into.Length);
        }
    }

    /// <summary>Copies <paramref name="from"/> into guest memory; waits for pages that are missing.</summary>
    /// <exception cref="InvalidOperationException">The memory was given up while pages were missing.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside the block.</exception>
    public void Write(long offset, ReadOnlySpan<byte> from)
    {
        byte* destination = Locate(offset, from.Length);
        fixed (byte* source = from)
        {
            NativeCopy.Copy(destination, source, from.Length);
        }

        // After the copy, and read anew each time: LogHostWrites says why.
        Volatile.Read(ref _hostWrites)?.Mark(offset, from.Length);
    }

    /// <summary>
    /// Enters in <paramref name="log"/> what <see cref="Write"/> writes once this has returned, and perhaps what it wrote before; null ends
    /// that.
    /// </summary>
    internal void LogHostWrites(HostWrites? log)
    {
        Volatile.Write(ref _hostWrites, log);

        // A writer copies and then looks for a log, without a fence between, as that would cost every write. This is its other half: after
        // it, a writer that has not seen the log yet has made its copy visible, so that whoever copies the page from here on sees it.
        Interlocked.MemoryBarrierProcessWide();
    }

    /// <summary>
    /// The address of a page, for a system call that reads or writes it (sendmsg(2) of its content). Only native code may touch what
    /// is there: never make a pointer or a Span of it in managed code, see the remarks on this type.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such page.</exception>
    public nint AddressOf(long page)
    {
        PageBits.CheckRange(page, 1, PageCount);
        return (nint)Locate(page << GuestPage.Shift, GuestPage.Size);
    }

    /// <summary>
    /// Takes the pages away and leaves an inaccessible mapping in their place: who touches the block from now on gets SIGSEGV, or
    /// EFAULT from a system call, never zeros, and no other mapping can come to lie at these addresses until <see cref="Dispose"/>.
    /// </summary>
    internal void Revoke()
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        Volatile.Write(ref _revoked, true);
        AnonymousMemory.Replace(Address, Length, Owner);
    }

    /// <summary>Unmaps the block. The caller has stopped everything that uses it, the virtual machine above all.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            AnonymousMemory.Unmap(Address, Length);
        }
    }

    /// <summary>Where so many pages end: the address of the next, which may be the end of the block. Not checked.</summary>
    internal nint AddressAfter(long pages) => Address + ((nint)pages << GuestPage.Shift);

    /// <summary>The page at an address that the kernel has told.</summary>
    internal long PageAt(ulong address) => (long)(address - (ulong)Address) >> GuestPage.Shift;

    /// <summary>The address of a range that has been checked to lie inside the block.</summary>
    internal byte* Locate(long offset, int length)
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        if (Volatile.Read(ref _revoked))
        {
            throw new InvalidOperationException("guest memory was given up while pages were missing; there is nothing to read or write");
        }

        if (offset < 0 || offset > Length - length)
        {
            throw new ArgumentOutOfRangeException(
                nameof(offset), offset, $"the range of {length} bytes is not inside guest memory of {Length} bytes");
        }

        return (byte*)Address + offset;
    }

    /// <summary>Gives pages back to the host: they are missing from now on, or zeros where nothing is registered.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside the block.</exception>
    /// <exception cref="SystemCallException">madvise failed.</exception>
    public void Discard(long firstPage, long pageCount)
    {
        PageBits.CheckRange(firstPage, pageCount, PageCount);
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        AnonymousMemory.Advise(AddressAfter(firstPage), pageCount << GuestPage.Shift, Libc.MemoryAdvice.DontNeed, Owner);
    }

    /// <summary>
    /// Whether a first touch may bring a huge page. Says nothing about huge pages that are there or are moved in: they stay.
    /// </summary>
    internal void AllowHugeFaults(bool allow) =>
        AnonymousMemory.Advise(Address, Length, allow ? Libc.MemoryAdvice.HugePage : Libc.MemoryAdvice.NoHugePage, Owner);
}
