namespace MigrationD.Guest.Tests.Userfault;

/// <summary>Fills the room for a page with its content; false when the page is withheld.</summary>
internal delegate bool PageSource(long page, Span<byte> into);

/// <summary>A fault thread that answers faults itself, from <see cref="PageContent"/> or a source: the shortest way of a page.</summary>
internal sealed class DemandPager : IDisposable
{
    private readonly IncomingMemory _incoming;
    private readonly PageSource _source;
    private readonly TestThread _thread;

    public DemandPager(IncomingMemory incoming, PageSource? source = null)
    {
        _incoming = incoming;
        _source = source ?? FillWithContent;
        _thread = new TestThread("fault thread", Serve);
    }

    public void Dispose()
    {
        _incoming.StopFaults();
        _thread.Join();
    }

    private static bool FillWithContent(long page, Span<byte> into)
    {
        PageContent.Fill(page, into);
        return true;
    }

    private void Serve()
    {
        using PagePlacer placer = _incoming.CreatePlacer(64);
        var faults = new PageFault[16];
        for (int count = _incoming.WaitFaults(faults); count > 0; count = _incoming.WaitFaults(faults))
        {
            foreach (PageFault fault in faults.AsSpan(0, count))
            {
                if (_source(fault.Page, placer.Stage(fault.Page, 1)))
                {
                    _ = placer.Place(fault.Page, 1, PagePath.Urgent);
                }
            }

            placer.Refill();
        }
    }
}
