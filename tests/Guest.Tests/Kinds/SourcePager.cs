using MigrationD.Guest.Tests.Userfault;

namespace MigrationD.Guest.Tests.Kinds;

/// <summary>
/// A fault thread that answers faults from another guest's memory: a migration without its network. Pages from
/// <see cref="WithheldFrom"/> on do not come from it.
/// </summary>
internal sealed class SourcePager : IDisposable
{
    private readonly IncomingMemory _incoming;
    private readonly GuestMemory _source;
    private readonly TestThread _thread;
    private long _withheldFrom;
    private int _withheld;

    public SourcePager(IncomingMemory incoming, GuestMemory source, long withheldFrom)
    {
        _incoming = incoming;
        _source = source;
        _withheldFrom = withheldFrom;
        _thread = new TestThread("fault thread", Serve);
    }

    /// <summary>The first page that is not served.</summary>
    public long WithheldFrom
    {
        set => Volatile.Write(ref _withheldFrom, value);
    }

    /// <summary>How many faults were not answered.</summary>
    public int Withheld => Volatile.Read(ref _withheld);

    public void Dispose()
    {
        _incoming.StopFaults();
        _thread.Join();
    }

    private void Serve()
    {
        using PagePlacer placer = _incoming.CreatePlacer(64);
        var faults = new PageFault[16];
        for (int count = _incoming.WaitFaults(faults); count > 0; count = _incoming.WaitFaults(faults))
        {
            foreach (PageFault fault in faults.AsSpan(0, count))
            {
                if (fault.Page >= Volatile.Read(ref _withheldFrom))
                {
                    Interlocked.Increment(ref _withheld);
                    continue;
                }

                _source.Read(fault.Page << GuestPage.Shift, placer.Stage(fault.Page, 1));
                _ = placer.Place(fault.Page, 1, PagePath.Urgent);
            }

            placer.Refill();
        }
    }
}
