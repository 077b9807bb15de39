using System.Diagnostics;
using MigrationD.Guest.Programs.Pulse;
using MigrationD.Guest.State;
using MigrationD.Guest.Threads;

namespace MigrationD.Guest.Kinds;

/// <summary>One thread of a workload guest, and its share of the working set.</summary>
/// <remarks>
/// A step reads the page's version and the page into buffers of its own (either may wait for a missing page, and be kicked out of it),
/// checks the page, and only then writes both back. A stopped thread is never between the two writes: it looks for a stop before them.
/// </remarks>
internal sealed class Walker
{
    private readonly PulseLayout _layout;
    private readonly GuestMemory _memory;
    private readonly GuestSpec _spec;
    private readonly long _shareStart;
    private readonly long _sharePages;
    private readonly GuestThread _thread;
    private readonly Lock _reportGate = new();

    // The walker's own; written by its thread while it runs, by others while it is stopped. The counters are read by Report at any time.
    private readonly ulong[] _page = GC.AllocateArray<ulong>(PulsePage.Words, pinned: true);
    private readonly uint[] _zipf;
    private bool _zipfRead;
    private Walk _walk;
    private long _filled;
    private long _corrupt;
    private long _largestGap;
    private long _lastSeen;

    /// <summary>Adds a walker at its start, stopped, to <paramref name="crew"/>.</summary>
    public Walker(GuestSpec spec, GuestMemory memory, int number, VcpuCrew crew)
    {
        _layout = new PulseLayout(spec);
        _memory = memory;
        _spec = spec;
        _shareStart = _layout.ShareStart(number);
        _sharePages = _layout.SharePages(number);
        _walk = Walk.Start(number);
        _zipf = spec.Pattern == WalkPattern.Zipf ? GC.AllocateArray<uint>(ZipfTable.Entries, pinned: true) : [];
        _thread = crew.Add($"walker {number}", $"walker {number}", Run);
    }

    /// <summary>Reads the counters; at any time.</summary>
    public GuestReport Report()
    {
        lock (_reportGate)
        {
            return new GuestReport(_walk.Steps, _walk.Sweeps, _corrupt, Stopwatch.GetElapsedTime(0, _largestGap));
        }
    }

    public WalkerState Save() => new()
    {
        Random = _walk.Random,
        Cursor = (ulong)_walk.Cursor,
        Steps = (ulong)_walk.Steps,
        Sweeps = (ulong)_walk.Sweeps,
        CorruptPages = (ulong)_corrupt,
        LargestGapNs = (ulong)ToNanoseconds(_largestGap),
        Filled = (ulong)_filled,
        SinceLastStepNs = _lastSeen == 0 ? 0 : (ulong)ToNanoseconds(Stopwatch.GetTimestamp() - _lastSeen),
    };

    /// <exception cref="GuestStateException">The state does not fit this walker.</exception>
    public void Check(WalkerState state)
    {
        if (state.Random == 0 || state.Cursor > (ulong)_sharePages || state.Filled > (ulong)_sharePages)
        {
            throw new GuestStateException(
                $"a walker's state (cursor {state.Cursor}, {state.Filled} pages filled) does not fit a share of {_sharePages} pages");
        }
    }

    /// <summary>Takes over a state, of a walker that stopped this long ago.</summary>
    public void Load(WalkerState state, long awayNanoseconds)
    {
        lock (_reportGate)
        {
            _walk = new Walk
            {
                Random = state.Random,
                Cursor = (long)state.Cursor,
                Steps = (long)state.Steps,
                Sweeps = (long)state.Sweeps,
            };
            _corrupt = (long)state.CorruptPages;
            _largestGap = FromNanoseconds(state.LargestGapNs);
            _filled = (long)state.Filled;
            _lastSeen = Stopwatch.GetTimestamp() - FromNanoseconds(state.SinceLastStepNs + (ulong)awayNanoseconds);
        }
    }

    private static long ToNanoseconds(long stopwatchTicks) =>
        (long)((Int128)stopwatchTicks * 1_000_000_000 / Stopwatch.Frequency);

    private static long FromNanoseconds(ulong nanoseconds) =>
        (long)Int128.Min((Int128)nanoseconds * Stopwatch.Frequency / 1_000_000_000, long.MaxValue / 4);

    private void Run()
    {
        if (_lastSeen == 0)
        {
            _lastSeen = Stopwatch.GetTimestamp();
        }

        while (!_thread.StopRequested)
        {
            if (_filled < _sharePages)
            {
                Fill();
            }
            else if (TryReadZipf())
            {
                Step();
            }
        }
    }

    /// <summary>Gives the next page of the share its first version.</summary>
    private void Fill()
    {
        long index = _shareStart + _filled;

        // Read first, as a step does, so that the write finds its page there. The content is not looked at.
        if (TryReadVersion(index, out _) && TryReadPage(index) && !_thread.StopRequested)
        {
            Write(index, 1);
            lock (_reportGate)
            {
                _filled++;
                Observe();
            }
        }
    }

    private void Step()
    {
        Walk after = _walk;
        long index = _shareStart + after.Next(_spec.Pattern, _sharePages, _zipf);
        if (!TryReadVersion(index, out ulong version) || !TryReadPage(index))
        {
            return;
        }

        bool intact = PulsePage.IsIntact(_page, (ulong)index, version, _spec.Content);

        // Whoever asked for a stop waits until this thread has parked, so what is written below is written before Pause returns.
        if (_thread.StopRequested)
        {
            return;
        }

        Write(index, version + 1);
        lock (_reportGate)
        {
            _walk = after;
            _corrupt += intact ? 0 : 1;
            Observe();
        }
    }

    private void Observe()
    {
        long now = Stopwatch.GetTimestamp();
        _largestGap = Math.Max(_largestGap, now - _lastSeen);
        _lastSeen = now;
    }

    private void Write(long index, ulong version)
    {
        PulsePage.Fill(_page, (ulong)index, version, _spec.Content);
        _memory.Write(_layout.PageOffset(index), MemoryMarshal.AsBytes(_page.AsSpan()));
        _memory.Write(_layout.VersionOffset(index), MemoryMarshal.AsBytes(new ReadOnlySpan<ulong>(in version)));
    }

    private bool TryReadVersion(long index, out ulong version)
    {
        version = 0;
        return _memory.TryRead(_layout.VersionOffset(index), MemoryMarshal.AsBytes(new Span<ulong>(ref version)));
    }

    private bool TryReadPage(long index) => _memory.TryRead(_layout.PageOffset(index), MemoryMarshal.AsBytes(_page.AsSpan()));

    /// <summary>The table is part of guest memory, so it is read from there, once, when the first step needs it.</summary>
    private bool TryReadZipf()
    {
        if (_spec.Pattern != WalkPattern.Zipf || _zipfRead)
        {
            return true;
        }

        if (!_memory.TryRead(_layout.ZipfTableOffset, MemoryMarshal.AsBytes(_zipf.AsSpan())))
        {
            return false;
        }

        if (Array.Exists(_zipf, page => page >= _sharePages))
        {
            throw new InvalidOperationException("the zipf table in guest memory names a page outside the share");
        }

        _zipfRead = true;
        return true;
    }
}
