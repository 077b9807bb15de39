using MigrationD.Guest.Interop;

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
    private readonly nint _mapping;
    private readonly nuint _mappingLength;
    private int _disposed;
    private bool _revoked;
    private HostWrites? _hostWrites;

    private GuestMemory(nint mapping, nuint mappingLength, nint address, long length)
    {
        _mapping = mapping;
        _mappingLength = mappingLength;
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

        // mmap promises 4 KiB alignment only: map one block more, and give back what sticks out on either side.
        nuint mapped = (nuint)length + GuestPage.BlockSize;
        nint mapping = Libc.Mmap(
            0,
            mapped,
            Libc.MemoryProtection.Read | Libc.MemoryProtection.Write,
            Libc.MapFlags.Private | Libc.MapFlags.Anonymous | Libc.MapFlags.NoReserve,
            -1,
            0);
        if (mapping == Libc.MapFailed)
        {
            throw SystemCallException.FromLast($"mmap length=0x{mapped:x} for guest memory");
        }

        nint address = (mapping + GuestPage.BlockSize - 1) & ~(nint)(GuestPage.BlockSize - 1);
        Trim(mapping, address);
        Trim(address + (nint)length, mapping + (nint)mapped);
        var memory = new GuestMemory(address, (nuint)length, address, length);
        try
        {
            memory.Advise(Libc.MemoryAdvice.DontFork);
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
    /// From when this returns, whatever <see cref="Write"/> has written is entered in <paramref name="log"/>, or was written before; null
    /// ends that.
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
        ArgumentOutOfRangeException.ThrowIfNegative(page);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(page, PageCount);
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
        nint replaced = Libc.Mmap(
            Address,
            (nuint)Length,
            Libc.MemoryProtection.None,
            Libc.MapFlags.Private | Libc.MapFlags.Anonymous | Libc.MapFlags.NoReserve | Libc.MapFlags.Fixed,
            -1,
            0);
        if (replaced == Libc.MapFailed)
        {
            throw SystemCallException.FromLast($"mmap PROT_NONE address=0x{Address:x} length=0x{Length:x} over guest memory");
        }
    }

    /// <summary>Unmaps the block. The caller has stopped everything that uses it, the virtual machine above all.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            _ = Libc.Munmap(_mapping, _mappingLength);
        }
    }

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
        ArgumentOutOfRangeException.ThrowIfNegative(firstPage);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(pageCount);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(pageCount, PageCount - firstPage);
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        nint address = Address + ((nint)firstPage << GuestPage.Shift);
        nint length = (nint)pageCount << GuestPage.Shift;
        if (Libc.Madvise(address, (nuint)length, Libc.MemoryAdvice.DontNeed) != 0)
        {
            throw SystemCallException.FromLast($"madvise {Libc.MemoryAdvice.DontNeed} address=0x{address:x} length=0x{length:x}");
        }
    }

    /// <summary>
    /// Whether a first touch may bring a huge page. Says nothing about huge pages that are there or are moved in: they stay.
    /// </summary>
    internal void AllowHugeFaults(bool allow)
    {
        Libc.MemoryAdvice advice = allow ? Libc.MemoryAdvice.HugePage : Libc.MemoryAdvice.NoHugePage;

        // EINVAL: a kernel built without transparent huge pages. Small pages are slower, never wrong.
        if (Libc.Madvise(Address, (nuint)Length, advice) != 0 && SystemCallException.LastError != Errno.EINVAL)
        {
            throw SystemCallException.FromLast($"madvise {advice} address=0x{Address:x} length=0x{Length:x}");
        }
    }

    private static void Trim(nint start, nint end)
    {
        if (end > start && Libc.Munmap(start, (nuint)(end - start)) != 0)
        {
            throw SystemCallException.FromLast($"munmap address=0x{start:x} length=0x{end - start:x}");
        }
    }

    private void Advise(Libc.MemoryAdvice advice)
    {
        if (Libc.Madvise(Address, (nuint)Length, advice) != 0)
        {
            throw SystemCallException.FromLast($"madvise {advice} address=0x{Address:x} length=0x{Length:x}");
        }
    }
}
