using MigrationD.Guest.Dirty;

namespace MigrationD.Guest.Tests.Dirty;

/// <summary>A precopy by hand: the guest's memory is copied while it runs, and what it wrote meanwhile is copied again.</summary>
internal sealed class Precopy : IDisposable
{
    private readonly byte[] _buffer = new byte[GuestPage.BlockSize];
    private readonly IGuest _guest;

    public Precopy(IGuest guest)
    {
        _guest = guest;
        Copy = GuestMemory.Map(guest.Memory.Length);
        Dirty = new PageSet(guest.Memory.PageCount);
        Log = guest.OpenDirtyLog();
    }

    public GuestMemory Copy { get; }

    public IDirtyLog Log { get; }

    public PageSet Dirty { get; }

    /// <summary>Arms the log, then copies all of the memory.</summary>
    public void Begin()
    {
        Log.Arm();
        CopyEverything();
    }

    public void CopyEverything()
    {
        for (long page = 0; page < _guest.Memory.PageCount; page += GuestPage.PerBlock)
        {
            CopyPages(page, GuestPage.PerBlock);
        }
    }

    /// <summary>Harvests, then copies what was harvested.</summary>
    public long Round()
    {
        Dirty.Clear();
        long pages = Log.Harvest(Dirty);
        Assert.Equal(Dirty.Count(), pages);
        CopyDirty();
        return pages;
    }

    /// <summary>Pauses the guest, and copies what it wrote since the last round.</summary>
    public long Finish()
    {
        _guest.Pause();
        Dirty.Clear();
        long pages = Log.HarvestLast(Dirty);
        CopyDirty();
        return pages;
    }

    /// <summary>How many pages of the copy are not what the paused guest has.</summary>
    public long StalePages()
    {
        long stale = 0;
        for (long page = 0; page < Copy.PageCount; page++)
        {
            stale += IsFresh(page) ? 0 : 1;
        }

        return stale;
    }

    /// <summary>Whether a page of the copy is what the paused guest has.</summary>
    public bool IsFresh(long page)
    {
        Span<byte> guests = _buffer.AsSpan(0, GuestPage.Size);
        Span<byte> copied = _buffer.AsSpan(GuestPage.Size, GuestPage.Size);
        _guest.Memory.Read(page << GuestPage.Shift, guests);
        Copy.Read(page << GuestPage.Shift, copied);
        return guests.SequenceEqual(copied);
    }

    public void Dispose()
    {
        Log.Dispose();
        Copy.Dispose();
    }

    private void CopyDirty()
    {
        for (long from = 0; Dirty.TryNextRun(from, out long first, out long count); from = first + count)
        {
            for (long page = first; page < first + count; page += GuestPage.PerBlock)
            {
                CopyPages(page, (int)Math.Min(GuestPage.PerBlock, first + count - page));
            }
        }
    }

    private void CopyPages(long first, int count)
    {
        Span<byte> pages = _buffer.AsSpan(0, count * GuestPage.Size);
        _guest.Memory.Read(first << GuestPage.Shift, pages);
        Copy.Write(first << GuestPage.Shift, pages);
    }
}
