using MigrationD.Guest.Dirty;

namespace MigrationD.Guest.Machine;

/// <summary>
/// KVM's dirty log, protected by hand: what vCPUs and KVM itself write. What this process writes into guest memory goes past it, and is
/// entered in <see cref="HostWrites"/>.
/// </summary>
/// <remarks>
/// The protection is in the page tables that KVM keeps for the guest, and is split to small pages there; the huge pages of this process
/// stay what they are. Clearing holds a lock that faults of the vCPUs need, so it goes by pieces.
/// </remarks>
internal sealed class KvmDirtyLog(KvmVirtualMachine machine, GuestMemory memory) : DirtyLog(memory)
{
    // 64 MiB: with every page dirty about a millisecond.
    private const int WordsPerClear = (64 << 20) / GuestPage.Size / PageBits.PerWord;

    private readonly HostWrites _hostWrites = new(memory.PageCount);
    private readonly ulong[] _bitmap = new ulong[machine.Slots.Max(WordsOf)];

    protected override void Begin()
    {
        try
        {
            machine.ProtectDirtyLogManually();
        }
        catch (SystemCallException error) when (error.Error == Errno.EINVAL)
        {
            throw new NotSupportedException(
                $"{KvmDevice.Path} has no dirty log that is protected by hand (KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 with INITIALLY_SET): "
                + "precopy of KVM guests needs Linux 5.8",
                error);
        }

        Memory.LogHostWrites(_hostWrites);
        try
        {
            foreach (KvmMemoryRegion slot in machine.Slots)
            {
                // Everything is dirty at first; what is cleared is protected.
                machine.LogDirtyPages(slot, log: true);
                Span<ulong> bitmap = BitmapOf(slot);
                bitmap.Fill(ulong.MaxValue);
                Clear(slot, bitmap);
            }
        }
        catch
        {
            Abandon();
            throw;
        }
    }

    protected override long Collect(PageSet into, bool rearm)
    {
        long pages = 0;
        long firstPage = 0;
        foreach (KvmMemoryRegion slot in machine.Slots)
        {
            Span<ulong> bitmap = BitmapOf(slot);
            machine.GetDirtyLog(slot.Slot, bitmap);
            _hostWrites.AddTo(firstPage, bitmap, forget: rearm);

            // Before the log is cleared, so that an error loses nothing. A page that is written between reading and clearing is in the set,
            // and is copied after both.
            pages += into.UnionWith(firstPage, bitmap);
            if (rearm)
            {
                Clear(slot, bitmap);
            }

            firstPage += bitmap.Length * PageBits.PerWord;
        }

        return pages;
    }

    protected override void End()
    {
        foreach (KvmMemoryRegion slot in machine.Slots)
        {
            machine.LogDirtyPages(slot, log: false);
        }

        Memory.LogHostWrites(null);
    }

    protected override void Abandon()
    {
        Memory.LogHostWrites(null);
        if (machine.IsDisposed)
        {
            return;
        }

        foreach (KvmMemoryRegion slot in machine.Slots)
        {
            try
            {
                machine.LogDirtyPages(slot, log: false);
            }
            catch (Exception error) when (error is IOException or ObjectDisposedException)
            {
                // The machine has ended meanwhile, or is about to: a log that goes on costs speed and nothing else.
            }
        }
    }

    private static int WordsOf(KvmMemoryRegion slot) => PageBits.WordsFor((long)slot.MemorySize / GuestPage.Size);

    private void Clear(KvmMemoryRegion slot, ReadOnlySpan<ulong> bitmap)
    {
        for (int word = 0; word < bitmap.Length; word += WordsPerClear)
        {
            ReadOnlySpan<ulong> piece = bitmap.Slice(word, Math.Min(WordsPerClear, bitmap.Length - word));
            if (piece.ContainsAnyExcept(0UL))
            {
                machine.ClearDirtyLog(slot.Slot, (long)word * PageBits.PerWord, piece);
            }
        }
    }

    private Span<ulong> BitmapOf(KvmMemoryRegion slot) => _bitmap.AsSpan(0, WordsOf(slot));
}
