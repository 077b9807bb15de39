using System.Collections.Concurrent;
using System.Diagnostics;
using MigrationD.Guest.Memory;
using MigrationD.Guest.Userfault;

namespace MigrationD.Daemon.Tests.Destination;

/// <summary>
/// Memory whose pages are still to come, without a userfaultfd: bitmap, ledger, counters and the memory itself are real, a page is placed by
/// copying it, and it is a test that faults. Keeps what is done with it, and fails where a test says so.
/// </summary>
internal sealed class ScriptedMemory : IIncomingMemory
{
    private readonly ConcurrentQueue<string> _calls = new();
    private readonly ConcurrentDictionary<long, bool> _huge = new();
    private readonly PlacementCounters _counters = new();
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
    }

    public GuestMemory Memory { get; }

    public ReceivedPages Received { get; }

    public ReceivedBlocks Blocks { get; }

    /// <summary>Called with each call before it is carried out: throws where it is to fail, waits where it is to take long.</summary>
    public Action<string> OnCall { get; set; } = _ => { };

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

    public void NoteHuge(long block) => _huge[block] = true;

    public IReadOnlyList<long> HugeBlocks() => [.. _huge.Keys.Order()];

    public IReadOnlyList<PageFault> OpenFaults() => _ledger.OpenFaults();

    public void KnowVcpus(IReadOnlyList<int> threads) => _ledger.Know(threads);

    public void NoteRequest(long page) => _ledger.NoteRequest(page);

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
        PlacementCounters.Add(ref _counters.PagesForgotten, forgotten);
        return forgotten;
    }

    public PlacementSnapshot Snapshot() => _counters.Snapshot(_ledger);

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
            PlacementCounters.Add(ref memory._counters.PagesReplaced, memory.Received.CountIn(firstPage, pageCount));
            Put(firstPage, pageCount, path, replaces: true);
        }

        public long PlaceZeros(long firstPage, long pageCount, PagePath path)
        {
            memory.Note($"zeros {firstPage}+{pageCount} {path}");
            long placed = memory.Received.Mark(firstPage, pageCount, ref memory._counters.PagesZero);
            memory.Blocks.NoteZeros(firstPage, pageCount);
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

            memory.Blocks.Note(firstPage, path);
            ref long counter = ref path == PagePath.Urgent ? ref memory._counters.PagesUrgent : ref memory._counters.PagesPush;
            long placed = memory.Received.Mark(firstPage, pageCount, ref counter);
            memory._ledger.Close(firstPage, pageCount, Stopwatch.GetTimestamp());
            return (int)placed;
        }
    }
}
