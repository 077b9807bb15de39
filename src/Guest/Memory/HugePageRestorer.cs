using MigrationD.Guest.Threads;

namespace MigrationD.Guest.Memory;

/// <summary>
/// Makes blocks of 2 MiB huge pages again that came page by page (MADV_COLLAPSE, about half a millisecond each), on a thread of its own.
/// </summary>
/// <remarks>
/// Only for memory whose pages are all there: a collapse fills holes with zeros, and on memory registered for userfaults it would have to
/// wait for them. It runs when the last page of the guest has come, not of the block: collapsing holds the lock that placing and faulting
/// pages need, and a thread that is preempted meanwhile would make a waiting guest wait for it.
/// </remarks>
public sealed class HugePageRestorer : IDisposable
{
    private readonly GuestMemory _memory;
    private readonly Thread _thread;
    private volatile bool _stop;

    /// <summary>
    /// Begins with <paramref name="blocks"/>, which were huge pages where they came from; those that are huge already are left alone.
    /// </summary>
    /// <param name="memory">Outlives this.</param>
    /// <param name="blocks">Indexes of 2 MiB blocks.</param>
    /// <param name="done">Told how many blocks are huge again, on the restorer's thread, unless it was stopped.</param>
    public HugePageRestorer(GuestMemory memory, IReadOnlyList<long> blocks, Action<int> done)
    {
        _memory = memory;
        _thread = new Thread(() => Run(blocks, done)) { Name = "huge pages", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Stops, and returns when the memory is not touched any more.</summary>
    public void Dispose()
    {
        _stop = true;
        _thread.Join();
    }

    private void Run(IReadOnlyList<long> blocks, Action<int> done)
    {
        ThreadRank.StepBack();
        using Pagemap? pagemap = Pagemap.TryOpen();
        int restored = 0;
        foreach (long block in blocks)
        {
            if (_stop)
            {
                return;
            }

            nint address = _memory.AddressOf(block * GuestPage.PerBlock);
            if (pagemap?.IsHuge(address) != true
                && Libc.Madvise(address, GuestPage.BlockSize, Libc.MemoryAdvice.Collapse) == 0)
            {
                // Refusals (EBUSY, EAGAIN, ENOMEM: madvise(2)) cost speed only, and khugepaged tries them again in time.
                restored++;
            }
        }

        done(restored);
    }
}
