using System.Diagnostics;

namespace MigrationD.Daemon.Migrations;

/// <summary>
/// How fast bytes and pages come, over the time between two looks that are a while apart. Nothing runs while nobody looks. Used by one
/// thread at a time.
/// </summary>
internal sealed class TransferRate(long start)
{
    // Destinations report ten times a second: over less than two reports a steady stream would look like a stuttering one.
    private static readonly TimeSpan ShortestWindow = TimeSpan.FromMilliseconds(200);

    private long _begun = start;
    private long _bytes;
    private long _pages;

    /// <summary>Bytes a second over the last window; 0 before the first.</summary>
    public double BytesPerSecond { get; private set; }

    /// <summary>Pages a second over the last window; 0 before the first.</summary>
    public double PagesPerSecond { get; private set; }

    /// <summary>Looks at the counts; ends the window and begins the next when it has been long enough.</summary>
    public void Observe(long bytes, long pages, long now)
    {
        TimeSpan window = Stopwatch.GetElapsedTime(_begun, now);
        if (window >= ShortestWindow)
        {
            Set(bytes - _bytes, pages - _pages, window);
            (_begun, _bytes, _pages) = (now, bytes, pages);
        }
    }

    /// <summary>The migration is over: the rates are those of the whole of it.</summary>
    public void Conclude(long bytes, long pages, TimeSpan total) => Set(bytes, pages, total);

    private void Set(long bytes, long pages, TimeSpan window)
    {
        bool some = window > TimeSpan.Zero;
        // Counts of a link that was lost can go back.
        BytesPerSecond = some ? Math.Max(0, bytes) / window.TotalSeconds : 0;
        PagesPerSecond = some ? Math.Max(0, pages) / window.TotalSeconds : 0;
    }
}
