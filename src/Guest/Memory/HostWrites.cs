namespace MigrationD.Guest.Memory;

/// <summary>Pages that this process wrote into the memory of a guest whose own log sees the guest's writes only. Lock-free.</summary>
/// <remarks>
/// A page is entered after it was written: whoever takes the entry and then copies the page copies what was written, and a write that is
/// not entered yet is in the next harvest. Entered first, a page could be taken and copied before its write.
/// </remarks>
internal sealed class HostWrites(long pageCount)
{
    private readonly ulong[] _words = new ulong[PageBits.WordsFor(pageCount)];

    /// <summary>Enters the pages of a range that has just been written. A full memory barrier.</summary>
    public void Mark(long offset, int length)
    {
        if (length <= 0)
        {
            return;
        }

        long end = ((offset + length - 1) >> GuestPage.Shift) + 1;
        for (long page = offset >> GuestPage.Shift; page < end;)
        {
            (int word, ulong bits, page) = PageBits.FirstPart(page, end);
            _ = Interlocked.Or(ref _words[word], bits);
        }
    }

    /// <summary>
    /// Adds the pages entered to a bitmap whose first bit is page <paramref name="firstPage"/>, a multiple of 64;
    /// <paramref name="forget"/> takes them out here.
    /// </summary>
    public void AddTo(long firstPage, Span<ulong> bitmap, bool forget)
    {
        Span<ulong> words = _words.AsSpan((int)(firstPage / PageBits.PerWord), bitmap.Length);
        for (int i = 0; i < words.Length; i++)
        {
            // Almost always 0, and looked at before it is written, because writing costs the cache line.
            if (Volatile.Read(ref words[i]) is var word and not 0)
            {
                bitmap[i] |= forget ? Interlocked.Exchange(ref words[i], 0) : word;
            }
        }
    }
}
