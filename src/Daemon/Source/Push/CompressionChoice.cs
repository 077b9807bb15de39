using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Source.Push;

/// <summary>
/// Decides, batch by batch, whether packing pages makes the transfer shorter. It compares two figures that it keeps up to date: how many
/// bytes of pages go over in a second as they are, and how many packed, the packing included.
/// </summary>
/// <remarks>
/// <para>Neither is known without trying, and both change: the guest's contents, the link, a limit that is set. So whatever seems the
/// slower way is tried now and then, for no more than one fiftieth of the time, and packing not at all on a link that is faster than
/// anything packs.</para>
/// <para>Speeds are those of batches that found the socket's buffer full. What is written into an empty one is gone in no time and says
/// nothing of the link; it raises the figure a little, and only a good deal that goes like that is believed.</para>
/// <para>What the destination can unpack is in the second figure: when it is slow, that is the slower way.</para>
/// </remarks>
internal sealed class CompressionChoice(CompressMode mode)
{
    /// <summary>What packing has to save to be worth unpacking, as a part of the batch: a batch that saves less is sent as it is.</summary>
    public const int LeastSaving = 8;

    // Bytes a second. No packer here is so much faster that a faster link would gain.
    private const double FastestWorthTrying = 320e6;

    // Until it has been tried.
    private const double LikelyPacking = 256e6;

    // One batch of a few pages says little.
    private const int LeastToTry = 64 * 1024;
    private const int Window = 1024 * 1024;

    // Who waits for a full buffer is let go on when a third of it is free. In less than that packed batches seem not to wait at all.
    private const int PackedWindow = 4 * Window;
    private const int LongestWindow = 32 * Window;

    // The first finds the buffer empty.
    private const int LeastWindowsToTry = 2;

    // More than any send buffer: what has gone over since must have gone over the link.
    private const int FillsAnyBuffer = 16 * 1024 * 1024;

    // So long, in seconds, a busy processor holds a lane up that could go on.
    private const double LongestHiccup = 0.02;

    private const double ShareForTrying = 0.02;
    private const double MostForTrying = 0.25;

    // What is gained has to be more than the noise, so that it does not go to and fro.
    private const double WorthBeginning = 1.1;
    private const double WorthGoingOn = 1.02;

    private double _plain;
    private double _packed;
    private double _packing = LikelyPacking;
    private double _ratio;
    private bool _packs;
    private bool _tries;
    private bool _bufferWasFull;
    private long _plainRun;
    private int _plainWindows;

    // At the start there is time for one try, so that a short migration gains as well.
    private double _forTrying = 0.012;

    private long _windowPages;
    private long _windowSent;
    private double _windowPacking;
    private double _windowSending;
    private bool _windowPacked;

    /// <summary>Whether to pack the next batch, of so many bytes.</summary>
    public bool ShouldPack(int bytes)
    {
        if (mode != CompressMode.Auto)
        {
            return mode == CompressMode.On;
        }

        _tries = MayTry(bytes);
        return _packs != _tries;
    }

    /// <summary>Counts a batch that was packed to so many bytes, or to all of them when it is sent as it is.</summary>
    public void Packed(int bytes, int packed, double seconds)
    {
        double ratio = (double)packed / bytes;
        _ratio = _ratio == 0 ? ratio : (_ratio + ratio) / 2;
        _packing = (_packing + (bytes / Math.Max(seconds, 1e-9))) / 2;
    }

    /// <summary>
    /// Counts a batch of so many bytes of pages that was sent as so many on the wire. <paramref name="packing"/> are the seconds that
    /// packing took, 0 when it was not tried; <paramref name="sending"/> those that it waited for its turn and for the link.
    /// </summary>
    public void Sent(int bytes, int sent, double packing, double sending)
    {
        if (mode != CompressMode.Auto)
        {
            return;
        }

        bool packed = packing > 0;
        if (packed != _windowPacked)
        {
            Reset(packed);
        }

        _windowPages += bytes;
        _windowSent += sent;
        _windowPacking += packing;
        _windowSending += sending;
        _plainRun = packed ? 0 : _plainRun + sent;
        _forTrying = Math.Min(MostForTrying, _forTrying + ((packing + sending) * ShareForTrying));
        if (_windowSent >= (packed ? PackedWindow : Window) || _windowPages >= LongestWindow)
        {
            Observe(packed);
            Reset(packed);
        }

        Choose();
    }

    private bool MayTry(int bytes)
    {
        // A window that tries cut short again and again would never say how fast the other way is.
        if (_plainWindows < LeastWindowsToTry || bytes < LeastToTry || _windowPages > 0)
        {
            return false;
        }

        // As long as the buffer is not full there is room in it: what is packed does not fill it, or the link is faster than it was.
        double cost = bytes / (!_packs ? _packing : _bufferWasFull ? _plain : _packed);
        if (cost > _forTrying || (_packs ? bytes < Window : _plain > FastestWorthTrying))
        {
            return false;
        }

        _forTrying -= cost;
        return true;
    }

    private void Reset(bool packed)
    {
        _windowPages = _windowSent = 0;
        _windowPacking = _windowSending = 0;
        _windowPacked = packed;
    }

    private void Observe(bool packed)
    {
        double alone = _windowSent / Math.Max(_windowSending, 1e-9);
        bool bufferIsFull = _plainWindows == 0 || alone < 4 * _plain;
        if (packed)
        {
            double all = _windowPages / Math.Max(_windowPacking + _windowSending, 1e-9);
            _packed = _packed == 0 ? all : _packed + ((all - _packed) / 4);
        }
        else if (_plainWindows++ == 0)
        {
            // At most so fast: the buffer was empty.
            _plain = alone;
        }
        else if (!bufferIsFull && _plainRun < FillsAnyBuffer)
        {
            _plain *= 1.5;
        }
        else if (_bufferWasFull || _plainRun >= FillsAnyBuffer || alone < _plain)
        {
            _plain = alone < _plain / 2 && _windowSending > LongestHiccup ? alone : (_plain + alone) / 2;
        }

        _bufferWasFull = bufferIsFull;
    }

    private void Choose()
    {
        if (_packs)
        {
            if (_packed != 0 && _packed < _plain * WorthGoingOn)
            {
                _packs = false;
                // What it would have to be for this to be no surprise: a destination that unpacks slowly is in it.
                double packing = (1 / _packed) - (_ratio / _plain);
                _packing = packing > 0 ? Math.Min(_packing, 1 / packing) : _packing;
            }
        }
        else if (_ratio != 0 && 1 / ((1 / _packing) + (_ratio / _plain)) > _plain * WorthBeginning)
        {
            _packs = true;
            // Anew: the link, or the guest, was another when it was measured.
            _packed = 0;
        }
    }
}
