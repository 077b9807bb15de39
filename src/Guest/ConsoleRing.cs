namespace MigrationD.Guest;

/// <summary>
/// The last bytes that a guest wrote on its serial port, addressed by how many it had written before them since it was created, on whatever
/// hosts it ran. Any number of threads may read while vCPUs write.
/// </summary>
/// <param name="capacity">How many bytes it keeps at most.</param>
public sealed class ConsoleRing(int capacity)
{
    private readonly Lock _gate = new();
    private readonly byte[] _ring = new byte[capacity];
    private long _written;
    private long _loadedFrom;

    /// <summary>How many bytes it keeps at most.</summary>
    public int Capacity => _ring.Length;

    /// <summary>How many bytes the guest has written since it was created.</summary>
    public long Written
    {
        get
        {
            lock (_gate)
            {
                return _written;
            }
        }
    }

    /// <summary>Appends bytes, and drops as many of the oldest as it takes. No allocation: it runs on a vCPU's thread.</summary>
    public void Write(ReadOnlySpan<byte> bytes)
    {
        lock (_gate)
        {
            foreach (byte value in bytes)
            {
                _ring[_written++ % _ring.Length] = value;
            }
        }
    }

    /// <summary>What was written from <paramref name="offset"/> on, as far as it is still there.</summary>
    /// <param name="offset">How many of the guest's bytes are not wanted.</param>
    /// <param name="most">How many bytes to return at most.</param>
    /// <param name="from">
    /// The offset of the first byte that is returned; higher than <paramref name="offset"/> when bytes in between are no longer kept.
    /// </param>
    /// <returns>Consecutive bytes; none when there are none yet.</returns>
    public byte[] Read(long offset, int most, out long from)
    {
        lock (_gate)
        {
            from = Math.Max(Math.Max(offset, _loadedFrom), _written - _ring.Length);
            byte[] bytes = new byte[Math.Clamp(_written - from, 0, most)];
            for (int i = 0; i < bytes.Length; i++)
            {
                bytes[i] = _ring[(from + i) % _ring.Length];
            }

            return bytes;
        }
    }

    /// <summary>Everything that it keeps, with how much was written in all; both of the same moment.</summary>
    public (long Written, byte[] Tail) Save()
    {
        lock (_gate)
        {
            byte[] tail = Read(0, _ring.Length, out _);
            return (_written, tail);
        }
    }

    /// <summary>Goes on from what another ring had saved.</summary>
    /// <param name="written">How many bytes the guest had written in all.</param>
    /// <param name="tail">The last of them; at most <see cref="Capacity"/>, and at most <paramref name="written"/>.</param>
    /// <exception cref="ArgumentException">They cannot be the last of so many bytes, or are too many.</exception>
    public void Load(long written, ReadOnlySpan<byte> tail)
    {
        if (tail.Length > _ring.Length || tail.Length > written)
        {
            throw new ArgumentException($"{tail.Length} bytes cannot be the last of {written} in a ring of {_ring.Length}", nameof(tail));
        }

        lock (_gate)
        {
            _loadedFrom = written - tail.Length;
            _written = _loadedFrom;
            Write(tail);
        }
    }
}
