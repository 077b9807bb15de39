using System.Diagnostics;
using MigrationD.Guest.Memory;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Lanes.Interop;
using MigrationD.Protocol.Pages;
using PrecopyMark = MigrationD.Protocol.V1.PrecopyMark;

namespace MigrationD.Daemon.Source.Push;

/// <summary>
/// Sends every page that has not been asked for, block by block. A block that nobody has touched goes as one message, so that the
/// destination can move it as one huge page. Zeros go as runs without data, across blocks. While the guest stands still, pages go as fast
/// as they can: it waits for them. No wait goes on when <paramref name="isOver"/> says that it has no point any more.
/// </summary>
internal sealed class PushSender(LaneCall lane, OutgoingMemory outgoing, PushOrder order, UrgentGate gate, Func<bool> isOver) : IDisposable
{
    // Around a few pages that were asked for, sending them again costs less than a message for each run between them.
    private const int FewPages = GuestPage.PerBlock / 16;

    private readonly GuestMemory _memory = outgoing.Memory;
    private readonly SentPages _sent = outgoing.Sent;
    private readonly PushTurn _turn = new(outgoing.Pace);
    private readonly BatchPacker? _packer = outgoing.Compression.CreatePacker();
    private readonly PageScanner _scanner = new(outgoing.Memory);
    private readonly PageRun[] _runs = new PageRun[GuestPage.PerBlock];
    private readonly byte[] _head = new byte[PageRunCodec.MaxHeadBytes];
    private bool _isHuge;
    private bool _isPostcopy;
    private bool _isPaced;
    private Func<bool> _mustStop = () => false;
    private long _zerosFirst;
    private long _zerosCount;

    // Since data was last sent.
    private TimeSpan _waited;

    /// <summary>Sends the first block: the guest's own tables are in it, and loading the device state waits for them.</summary>
    /// <exception cref="LaneException">The lane broke.</exception>
    public void SendFirst()
    {
        if (order.TryTake(out long block))
        {
            SendBlock(block);
            SendZeros();
        }
    }

    /// <summary>Sends until every page has been sent by one lane or the other.</summary>
    /// <exception cref="LaneException">The lane broke.</exception>
    public void SendRest()
    {
        BeginPostcopy();
        while (TakeInTime(out long block))
        {
            SendBlock(block);
        }

        SendZeros();
        _turn.GiveBack();
    }

    /// <summary>
    /// Sends every page that is not marked as sent, of those of the round's blocks that this lane takes. <paramref name="mustStop"/> is
    /// asked before each block and while it waits; the rest stays unsent. A round that the guest stands still for does not keep to the
    /// bandwidth.
    /// </summary>
    /// <exception cref="LaneException">The lane broke.</exception>
    public void SendRound(RoundBlocks blocks, Func<bool> mustStop, bool isPaced)
    {
        _isPaced = isPaced;
        _mustStop = () => isOver() || mustStop();
        while (!mustStop() && blocks.TryTake(out long block))
        {
            SendBlock(block);
        }

        SendZeros();
        _turn.GiveBack();
        _isPaced = false;
    }

    /// <summary>Sends pages ahead of all others, in this order, as far as nobody has sent them.</summary>
    /// <exception cref="LaneException">The lane broke.</exception>
    public void SendAhead(ReadOnlySpan<long> pages)
    {
        BeginPostcopy();
        for (int i = 0; i < pages.Length;)
        {
            // Neighbours go together: a message costs as much as a few pages.
            long first = pages[i];
            int count = 1;
            while (i + count < pages.Length && pages[i + count] == first + count && (first + count) % GuestPage.PerBlock != 0)
            {
                count++;
            }

            _isHuge = _scanner.IsHuge(first / GuestPage.PerBlock);
            foreach (ref readonly PageRun run in _runs.AsSpan(0, _scanner.Scan(first, count, _runs)))
            {
                SendRun(run);
            }

            i += count;
        }

        SendZeros();
    }

    /// <summary>Says something about all pages that were sent before.</summary>
    /// <exception cref="LaneException">The lane broke.</exception>
    public void SendMark(PrecopyMark mark)
    {
        int length = PageRunCodec.Encode(new PageRunHeader(0, 0, 0, IsZero: false, Mark: mark), _head);
        lane.Write(_head.AsSpan(0, length));
    }

    /// <summary>Frees the scanner and the packer, and gives the turn back.</summary>
    public void Dispose()
    {
        _turn.Dispose();
        _scanner.Dispose();
        _packer?.Dispose();
    }

    private void BeginPostcopy()
    {
        _isPostcopy = true;
        _isPaced = true;
        _mustStop = isOver;
    }

    /// <summary>Takes the next block, chosen when it may be sent: where the guest waits may have changed until then.</summary>
    private bool TakeInTime(out long block)
    {
        block = -1;
        return WaitForTurn() && order.TryTake(out block);
    }

    private void SendBlock(long block)
    {
        long first = block * GuestPage.PerBlock;
        if (_sent.NextUnsent(first, first + GuestPage.PerBlock) == first + GuestPage.PerBlock)
        {
            return;
        }

        if (!WaitForTurn())
        {
            return;
        }

        _isHuge = _scanner.IsHuge(block);
        int count = _scanner.Scan(first, GuestPage.PerBlock, _runs);
        if (count == 1 && !_runs[0].IsZero && _sent.CountIn(first, first + GuestPage.PerBlock) <= FewPages)
        {
            _sent.MarkAll(first, first + GuestPage.PerBlock);
            SendData(first, GuestPage.PerBlock);
            return;
        }

        foreach (ref readonly PageRun run in _runs.AsSpan(0, count))
        {
            SendRun(run);
        }
    }

    private void SendRun(in PageRun run)
    {
        long end = run.FirstPage + run.PageCount;
        for (long page = _sent.NextUnsent(run.FirstPage, end); page < end && WaitForTurn(); page = _sent.NextUnsent(page, end))
        {
            int claimed = _sent.ClaimRun(page, end);
            if (claimed == 0)
            {
                // It was asked for at this moment, and is being sent.
                continue;
            }

            if (run.IsZero)
            {
                CollectZeros(page, claimed);
            }
            else
            {
                SendData(page, claimed);
            }

            page += claimed;
        }
    }

    private void SendData(long page, int count)
    {
        gate.YieldToUrgent();
        var header = new PageRunHeader(0, (ulong)page, (uint)count, IsZero: false, _isHuge);
        var data = new NativeBuffer(_memory.AddressOf(page), count * GuestPage.Size);
        if (_packer?.TryPack(_memory, page, count, out NativeBuffer packed) == true)
        {
            header = header with { Compression = _packer.Compression, PackedLength = packed.Length };
            data = packed;
            gate.YieldToUrgent();
        }

        int length = PageRunCodec.Encode(header, _head);
        _turn.Send(length + data.Length);
        long began = Stopwatch.GetTimestamp();
        lane.Write(_head.AsSpan(0, length), data);
        _packer?.Sent(count, _waited + Stopwatch.GetElapsedTime(began));
        _waited = TimeSpan.Zero;
    }

    /// <summary>Whether to go on, when this lane may.</summary>
    private bool WaitForTurn()
    {
        if (!_isPaced)
        {
            return true;
        }

        long began = Stopwatch.GetTimestamp();
        bool goesOn = _turn.Wait(_isPostcopy, _mustStop);
        _waited += Stopwatch.GetElapsedTime(began);
        return goesOn;
    }

    private void CollectZeros(long page, int count)
    {
        // Gone through for long, they cost the link next to nothing: others use it.
        _turn.GiveBack();
        if (page != _zerosFirst + _zerosCount)
        {
            SendZeros();
            _zerosFirst = page;
        }

        _zerosCount += count;
    }

    private void SendZeros()
    {
        if (_zerosCount == 0)
        {
            return;
        }

        int length = PageRunCodec.Encode(new PageRunHeader(0, (ulong)_zerosFirst, (uint)_zerosCount, IsZero: true), _head);
        _turn.Send(length);
        lane.Write(_head.AsSpan(0, length));
        _zerosCount = 0;
    }
}
