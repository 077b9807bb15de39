namespace MigrationD.Daemon.Source.Push;

/// <summary>
/// How many pages to answer a request with: one, and twice as many each time a request comes right behind the last answer.
/// </summary>
/// <remarks>
/// A guest that walks through memory faults on one page after the other, and every fault costs a round trip. Several walks are followed at
/// once, one for each vCPU. Used by one thread.
/// </remarks>
internal sealed class RunAhead
{
    /// <summary>256 KiB: a fraction of a millisecond on a link worth migrating over, so that it delays no other page for long.</summary>
    public const int MaxPages = 64;

    private const int Walks = 4;

    private readonly long[] _next = new long[Walks];
    private readonly int[] _length = new int[Walks];
    private int _oldest;

    public RunAhead() => Array.Fill(_next, -1);

    /// <summary>Says how many pages to send from <paramref name="page"/> on, that one included.</summary>
    public int Answer(long page)
    {
        int walk = Array.IndexOf(_next, page);
        if (walk < 0)
        {
            walk = _oldest;
            _oldest = (_oldest + 1) % Walks;
            _length[walk] = 1;
        }
        else
        {
            _length[walk] = Math.Min(_length[walk] * 2, MaxPages);
        }

        _next[walk] = page + _length[walk];
        return _length[walk];
    }
}
