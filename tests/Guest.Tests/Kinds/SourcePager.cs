namespace MigrationD.Guest.Tests.Kinds;

/// <summary>
/// A fault thread that answers faults from another guest's memory: a migration without its network. Pages from
/// <see cref="WithheldFrom"/> on do not come from it.
/// </summary>
internal sealed class SourcePager : IDisposable
{
    private readonly DemandPager _pager;
    private long _withheldFrom;
    private int _withheld;

    public SourcePager(IncomingMemory incoming, GuestMemory source, long withheldFrom)
    {
        _withheldFrom = withheldFrom;
        _pager = new DemandPager(incoming, (page, into) =>
        {
            if (page >= Volatile.Read(ref _withheldFrom))
            {
                Interlocked.Increment(ref _withheld);
                return false;
            }

            source.Read(page << GuestPage.Shift, into);
            return true;
        });
    }

    /// <summary>The first page that is not served.</summary>
    public long WithheldFrom
    {
        set => Volatile.Write(ref _withheldFrom, value);
    }

    /// <summary>How many faults were not answered.</summary>
    public int Withheld => Volatile.Read(ref _withheld);

    public void Dispose() => _pager.Dispose();
}
