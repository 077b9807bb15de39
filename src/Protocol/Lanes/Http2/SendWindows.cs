namespace MigrationD.Protocol.Lanes.Http2;

/// <summary>What the peer allows us to send: its two flow-control windows and its largest frame (RFC 9113, sections 5.2 and 6.9).</summary>
internal sealed class SendWindows
{
    private readonly object _gate = new();
    private long _connection = 65_535;
    private long _stream = 65_535;
    private int _initialStream = 65_535;
    private int _maxFrame = FrameHeader.DefaultMaxLength;
    private int _waiters;
    private long _changes;
    private bool _closed;

    /// <summary>A number that is another one after anything that a waiting writer may want to know.</summary>
    public long Changes => Volatile.Read(ref _changes);

    /// <summary>Takes up to <paramref name="wanted"/> bytes, at most one frame's; 0 when there is no window now.</summary>
    public int TryTake(int wanted)
    {
        lock (_gate)
        {
            int taken = (int)Math.Max(0, Math.Min(Math.Min(_connection, _stream), Math.Min(wanted, _maxFrame)));
            _connection -= taken;
            _stream -= taken;
            return taken;
        }
    }

    /// <summary>Waits until something has changed since <paramref name="changes"/> was read. Returns at once when closed.</summary>
    public void WaitForChange(long changes)
    {
        lock (_gate)
        {
            _waiters++;
            while (_changes == changes && !_closed)
            {
                Monitor.Wait(_gate);
            }

            _waiters--;
        }
    }

    /// <summary>Wakes writers so that they look again, such as for a reader that is gone.</summary>
    public void Nudge()
    {
        lock (_gate)
        {
            Changed();
        }
    }

    /// <summary>Lets nobody wait from now on.</summary>
    public void Close()
    {
        lock (_gate)
        {
            _closed = true;
            Changed();
        }
    }

    public void GrowConnection(int increment) => Grow(ref _connection, increment, "connection");

    public void GrowStream(int increment) => Grow(ref _stream, increment, "stream");

    public void SetInitialStream(uint size)
    {
        Http2Exception.ThrowIf(
            size > int.MaxValue, Http2ErrorCode.FlowControlError, $"SETTINGS_INITIAL_WINDOW_SIZE is {size}, more than 2^31-1");
        lock (_gate)
        {
            // A smaller size can make the window negative: nothing goes out until updates have made up for it.
            Grow(ref _stream, (int)size - (long)_initialStream, "stream");
            _initialStream = (int)size;
        }
    }

    public void SetMaxFrame(uint size)
    {
        Http2Exception.ThrowIf(
            size is < FrameHeader.DefaultMaxLength or > FrameHeader.MaxLength,
            Http2ErrorCode.ProtocolError,
            $"SETTINGS_MAX_FRAME_SIZE is {size}, not from 16384 to 16777215");
        lock (_gate)
        {
            _maxFrame = (int)size;
        }
    }

    private void Grow(ref long window, long increment, string whose)
    {
        lock (_gate)
        {
            long grown = window + increment;
            Http2Exception.ThrowIf(
                grown > int.MaxValue, Http2ErrorCode.FlowControlError, $"the {whose} window grows to {grown}, more than 2^31-1");
            window = grown;
            Changed();
        }
    }

    private void Changed()
    {
        Volatile.Write(ref _changes, _changes + 1);
        if (_waiters != 0)
        {
            Monitor.PulseAll(_gate);
        }
    }
}
