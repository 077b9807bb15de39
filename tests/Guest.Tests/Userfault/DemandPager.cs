namespace MigrationD.Guest.Tests.Userfault;

/// <summary>A fault thread that answers every fault itself, from <see cref="PageContent"/>: the shortest way a page can come.</summary>
internal sealed class DemandPager : IDisposable
{
    private readonly IncomingMemory _incoming;
    private readonly TestThread _thread;

    public DemandPager(IncomingMemory incoming)
    {
        _incoming = incoming;
        _thread = new TestThread("fault thread", Serve);
    }

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
            for (int i = 0; i < count; i++)
            {
                PageContent.Fill(faults[i].Page, placer.Stage(faults[i].Page, 1));
                _ = placer.Place(faults[i].Page, 1, PagePath.Urgent);
            }

            placer.Refill();
        }
    }
}
