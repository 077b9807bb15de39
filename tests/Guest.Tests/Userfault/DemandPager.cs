using System.Runtime.ExceptionServices;

namespace MigrationD.Guest.Tests.Userfault;

/// <summary>A fault thread that answers every fault itself, from <see cref="PageContent"/>: the shortest way a page can come.</summary>
internal sealed class DemandPager : IDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    private readonly IncomingMemory _incoming;
    private readonly Thread _thread;
    private ExceptionDispatchInfo? _failure;

    public DemandPager(IncomingMemory incoming)
    {
        _incoming = incoming;
        _thread = new Thread(Serve) { IsBackground = true, Name = "test fault thread" };
        _thread.Start();
    }

    public void Dispose()
    {
        _incoming.StopFaults();
        Assert.True(_thread.Join(Deadline), "the fault thread did not stop");
        _failure?.Throw();
    }

    private void Serve()
    {
        try
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
        catch (Exception error)
        {
            _failure = ExceptionDispatchInfo.Capture(error);
        }
    }
}
