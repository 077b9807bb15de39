using System.Text;

namespace MigrationD.Guest.Kvm;

/// <summary>The last bytes that a guest wrote on its serial port, addressed by how many were written before them.</summary>
internal sealed class ConsoleRing
{
    private readonly Lock _gate = new();
    private readonly byte[] _ring;
    private long _written;

    /// <summary>A ring that keeps the last <paramref name="capacity"/> bytes.</summary>
    public ConsoleRing(int capacity)
    {
        _ring = new byte[capacity];
    }

    /// <summary>Appends bytes, and drops as many of the oldest as it takes.</summary>
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
    /// <param name="offset">Bytes since the guest came to this host.</param>
    /// <param name="next">The offset to go on from.</param>
    public string Read(long offset, out long next)
    {
        lock (_gate)
        {
            next = _written;
            long from = Math.Max(Math.Max(offset, 0), _written - _ring.Length);
            if (from >= _written)
            {
                return "";
            }

            byte[] bytes = new byte[_written - from];
            for (int i = 0; i < bytes.Length; i++)
            {
                bytes[i] = _ring[(from + i) % _ring.Length];
            }

            return Encoding.Latin1.GetString(bytes);
        }
    }
}
