using MigrationD.Daemon.Threading;
using MigrationD.Guest.Memory;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Lanes.Interop;
using MigrationD.Protocol.Pages;

namespace MigrationD.Daemon.Source.Push;

/// <summary>
/// Answers each page request of the destination at once with that page, and with what is likely to be wanted next, on the thread that read
/// the request: no queue, no hand-over, no allocation.
/// </summary>
internal sealed class UrgentSender(LaneCall lane, OutgoingMemory outgoing, PushOrder order, UrgentGate gate, ILogger logger) : IDisposable
{
    private readonly GuestMemory _memory = outgoing.Memory;
    private readonly SentPages _sent = outgoing.Sent;
    private readonly PageScanner _scanner = new(outgoing.Memory);
    private readonly PageRun[] _runs = new PageRun[RunAhead.MaxPages];
    private readonly RunAhead _runAhead = new();
    private readonly bool[] _asked = new bool[outgoing.Memory.BlockCount];

    /// <summary>Serves until the destination closes the lane.</summary>
    /// <exception cref="LaneException">The lane broke, or the destination asked for what the guest does not have.</exception>
    public void Run()
    {
        UrgentThread.Raise(logger);
        Span<byte> head = stackalloc byte[PageRunCodec.MaxHeadBytes];
        while (lane.TryReadMessage(out _))
        {
            (uint block, ulong page) = PageRequestCodec.Read(lane);
            if (block != 0 || page >= (ulong)_memory.PageCount)
            {
                throw lane.Refuse(
                    Because.OutOfRange,
                    $"the destination asked for page {page} of RAM block {block}; this guest has {_memory.PageCount} pages in block 0");
            }

            if (outgoing.Released?.Has((long)page / GuestPage.PerBlock) == true)
            {
                // It was asked for before it came; that it is there has been confirmed since.
                continue;
            }

            gate.Enter();
            try
            {
                Send((long)page, head);
            }
            finally
            {
                gate.Leave();
            }

            HintAt((long)page / GuestPage.PerBlock);
        }
    }

    public void Dispose() => _scanner.Dispose();

    private void Send(long page, Span<byte> head)
    {
        // A page that the push has claimed is sent again: it may be anywhere between here and there, and somebody waits.
        _sent.Mark(page);
        int count = 1 + ClaimBehind(page, _runAhead.Answer(page) - 1);
        int runs = _scanner.Scan(page, count, _runs);
        foreach (ref readonly PageRun run in _runs.AsSpan(0, runs))
        {
            int length = PageRunCodec.Encode(new PageRunHeader(0, (ulong)run.FirstPage, (uint)run.PageCount, run.IsZero), head);
            int data = run.IsZero ? 0 : run.PageCount * GuestPage.Size;
            lane.Write(head[..length], run.IsZero ? default : new NativeBuffer(_memory.AddressOf(run.FirstPage), data));
            outgoing.Pace.SentUrgently(length + data);
        }
    }

    /// <summary>
    /// Sends the push to a block that is asked for again: the guest works there. A first request may be anywhere, and a block that the push
    /// reaches before the guest does moves as one huge page.
    /// </summary>
    private void HintAt(long block)
    {
        if (_asked[block])
        {
            order.Hint(block);
        }

        _asked[block] = true;
    }

    /// <summary>Claims pages right behind one, in its block, that nobody has sent.</summary>
    private int ClaimBehind(long page, int wanted)
    {
        long blockEnd = (page / GuestPage.PerBlock + 1) * GuestPage.PerBlock;
        return _sent.ClaimRun(page + 1, Math.Min(page + 1 + wanted, blockEnd));
    }
}
