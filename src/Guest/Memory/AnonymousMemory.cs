namespace MigrationD.Guest.Memory;

/// <summary>Private memory of this process that no file is behind. What the kernel refuses is thrown with the call and its range.</summary>
internal static class AnonymousMemory
{
    private const Libc.MapFlags Flags = Libc.MapFlags.Private | Libc.MapFlags.Anonymous | Libc.MapFlags.NoReserve;

    /// <summary>
    /// Maps zeros, which nothing backs until they are touched, from a multiple of 4 KiB or 2 MiB on, and keeps them out of children
    /// (MADV_DONTFORK). An error names the <paramref name="owner"/>.
    /// </summary>
    public static nint Map(long length, int alignment, string owner)
    {
        // mmap promises 4 KiB alignment only: map more, and give back what sticks out on either side.
        nint mapped = (nint)length + alignment - GuestPage.Size;
        nint mapping = Libc.Mmap(0, (nuint)mapped, Libc.MemoryProtection.Read | Libc.MemoryProtection.Write, Flags, -1, 0);
        if (mapping == Libc.MapFailed)
        {
            throw SystemCallException.FromLast($"mmap length=0x{mapped:x} for {owner}");
        }

        nint address = (mapping + alignment - 1) & ~(nint)(alignment - 1);
        Trim(mapping, address);
        Trim(address + (nint)length, mapping + mapped);
        try
        {
            Advise(address, length, Libc.MemoryAdvice.DontFork, owner);
            return address;
        }
        catch
        {
            Unmap(address, length);
            throw;
        }
    }

    /// <summary>Puts an inaccessible mapping in the place of what is there.</summary>
    public static void Replace(nint address, long length, string owner)
    {
        if (Libc.Mmap(address, (nuint)length, Libc.MemoryProtection.None, Flags | Libc.MapFlags.Fixed, -1, 0) == Libc.MapFailed)
        {
            throw SystemCallException.FromLast($"mmap PROT_NONE address=0x{address:x} length=0x{length:x} over {owner}");
        }
    }

    public static void Advise(nint address, long length, Libc.MemoryAdvice advice, string owner)
    {
        // EINVAL: a kernel built without transparent huge pages. Small pages are slower, never wrong.
        bool isOptional = advice is Libc.MemoryAdvice.HugePage or Libc.MemoryAdvice.NoHugePage;
        if (Libc.Madvise(address, (nuint)length, advice) != 0 && !(isOptional && SystemCallException.LastError == Errno.EINVAL))
        {
            throw SystemCallException.FromLast($"madvise {advice} address=0x{address:x} length=0x{length:x} of {owner}");
        }
    }

    public static void Unmap(nint address, long length) => _ = Libc.Munmap(address, (nuint)length);

    private static void Trim(nint start, nint end)
    {
        if (end > start && Libc.Munmap(start, (nuint)(end - start)) != 0)
        {
            throw SystemCallException.FromLast($"munmap address=0x{start:x} length=0x{end - start:x}");
        }
    }
}
