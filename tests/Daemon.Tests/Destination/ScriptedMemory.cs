using System.Collections.Concurrent;
using System.Diagnostics;
using MigrationD.Guest.Memory;
using MigrationD.Guest.Userfault;

namespace MigrationD.Daemon.Tests.Destination;

/// <summary>
/// Memory whose pages are still to come, without a userfaultfd: bitmap, ledger, counters and the memory itself are real, a page is placed
/// by copying it, and it is a test that faults. Keeps what is done with it, and fails where a test says so.
/// </summary>
internal sealed class ScriptedMemory : IIncomingMemory
{
    private readonly ConcurrentQueue<string> _calls = new();
    private readonly ConcurrentDictionary<long, bool> _huge = new();
    private readonly FaultLedger _ledger;
    private readonly BlockingCollection<PageFault> _faults = [];
    private readonly CancellationTokenSource _stop = new();
    private volatile Exception? _broken;
    private bool _isComplete;
    private bool _isDisposed;

    public ScriptedMemory(GuestMemory memory)
    {
        Memory = memory;
        Received = new ReceivedPages(memory.PageCount);
        Blocks = new ReceivedBlocks(memory.BlockCount);
        _ledger = new FaultLedger(Received);
        Counters = new PlacementCounters(_ledger);
    }

    public GuestMemory Memory { get; }

    public ReceivedPages Received { get; }

    public ReceivedBlocks Blocks { get; }

    public PlacementCounters Counters { get; }

    /// <summary>Called with each call before it is carried out: throws where it is to fail, waits where it is to take long.</summary>
    public Action<string> OnCall { get; set; } = _ => { };

    /// <summary>Of how many vCPUs it is told who waits.</summary>
    public int VcpuCount { get; private set; }

    /// <summary>What was done with it, in order.</summary>
    public IReadOnlyList<string> Calls => [.. _calls];

    /// <summary>Memory of so many blocks of 2 MiB.</summary>
    public static ScriptedMemory Map(int blocks) => new(GuestMemory.Map(blocks * GuestPage.BlockSize));

    /// <summary>Somebody waits for a page.</summary>
    public void Fault(long page)
    {
        if (_ledger.Open(page, thread: 1) == FaultOutcome.Request)
        {
            _faults.Add(new PageFault(page, 1));
        }
    }

    /// <summary>No fault can be read any more.</summary>
    public void BreakFaults(Exception error)
    {
        _broken = error;
        _stop.Cancel();
    }

    public int WaitFaults(Span<PageFault> into)
    {
        try
        {
            into[0] = _faults.Take(_stop.Token);
        }
        catch (OperationCanceledException)
        {
            return _broken is { } error ? throw error : 0;
        }

        int count = 1;
        while (count < into.Length && _faults.TryTake(out into[count]))
        {
            count++;
        }

        return count;
    }

    public void StopFaults()
    {
        Note("stop faults");
        _stop.Cancel();
    }

    public void MarkHuge(long block) => _huge[block] = true;

    public IReadOnlyList<long> HugeBlocks() => [.. _huge.Keys.Order()];

    public IReadOnlyList<PageFault> OpenFaults() => _ledger.OpenFaults();

    public void SetVcpus(IReadOnlyList<int> threads)
    {
        VcpuCount = threads.Count;
        _ledger.SetVcpus(threads);
    }

    public void RecordRequest(long page) => _ledger.RecordRequest(page);

    public IPagePlacer CreatePlacer(int singlePageSlots)
    {
        Note($"create placer {singlePageSlots}");
        return NewPlacer();
    }

    /// <summary>A placer for a test that has no other, and does not want to see it created.</summary>
    public IPagePlacer NewPlacer() => new Placer(this);

    public long Forget(long firstPage, long pageCount)
    {
        Note($"forget {firstPage}+{pageCount}");
        long forgotten = Received.CountIn(firstPage, pageCount);
        Memory.Discard(firstPage, pageCount);
        Received.Unmark(firstPage, pageCount);
        Counters.PagesForgotten.Add(forgotten);
        return forgotten;
    }

    public void Complete()
    {
        Note("complete");
        _isComplete = Received.IsComplete ? true : throw new InvalidOperationException("guest memory is not complete");
    }

    public void Dispose()
    {
        Note("dispose");
        StopFaults();
        if (!_isComplete && !_isDisposed)
        {
            Memory.Revoke();
        }

        _isDisposed = true;
    }

    private void Note(string call)
    {
        OnCall(call);
        _calls.Enqueue(call);
    }

    private sealed class Placer(ScriptedMemory memory) : IPagePlacer
    {
        private readonly byte[] _staging = new byte[GuestPage.BlockSize];
        private (long First, int Count) _staged;

        public Span<byte> Stage(long firstPage, int pageCount)
        {
            memory.Note($"stage {firstPage}+{pageCount}");
            _staged = (firstPage, pageCount);
            return _staging.AsSpan(0, pageCount * GuestPage.Size);
        }

        public int Place(long firstPage, int pageCount, PagePath path)
        {
            memory.Note($"place {firstPage}+{pageCount} {path}");
            return Put(firstPage, pageCount, path, replaces: false);
        }

        public void Replace(long firstPage, int pageCount, PagePath path)
        {
            memory.Note($"replace {firstPage}+{pageCount} {path}");
            memory.Counters.PagesReplaced.Add(memory.Received.CountIn(firstPage, pageCount));
            Put(firstPage, pageCount, path, replaces: true);
        }

        public long PlaceZeros(long firstPage, long pageCount, PagePath path)
        {
            memory.Note($"zeros {firstPage}+{pageCount} {path}");
            long placed = memory.Received.Mark(firstPage, pageCount, memory.Counters.PagesZero);
            memory.Blocks.MarkZeros(firstPage, pageCount);
            memory._ledger.Close(firstPage, pageCount, Stopwatch.GetTimestamp());
            return placed;
        }

        public void ReplaceByZeros(long firstPage, long pageCount, PagePath path)
        {
            memory.Forget(firstPage, pageCount);
            PlaceZeros(firstPage, pageCount, path);
        }

        public void Refill() => memory.Note("refill");

        public void Dispose() => memory.Note("dispose placer");

        private int Put(long firstPage, int pageCount, PagePath path, bool replaces)
        {
            Assert.Equal((firstPage, pageCount), _staged);
            _staged = default;
            for (int i = 0; i < pageCount; i++)
            {
                if (replaces || !memory.Received.IsReceived(firstPage + i))
                {
                    memory.Memory.Write((firstPage + i) * GuestPage.Size, _staging.AsSpan(i * GuestPage.Size, GuestPage.Size));
                }
            }

            memory.Blocks.MarkContent(firstPage, path);
            PlacementCounter counter = path == PagePath.Urgent ? memory.Counters.PagesUrgent : memory.Counters.PagesPush;
            long placed = memory.Received.Mark(firstPage, pageCount, counter);
            memory._ledger.Close(firstPage, pageCount, Stopwatch.GetTimestamp());
            return (int)placed;
        }
    }
}
