namespace MigrationD.Benchmarks.Place;

/// <summary>
/// A thread of this process that computes and does nothing else: while it runs on another core, that core has to be told of every
/// page that is taken out of a mapping.
/// </summary>
internal sealed class BusyThread : IDisposable
{
    private readonly Thread _thread;
    private volatile bool _ended;

    public BusyThread()
    {
        using var running = new ManualResetEventSlim();
        _thread = new Thread(() =>
        {
            running.Set();
            while (!_ended)
            {
                Thread.SpinWait(1);
            }
        }) { IsBackground = true, Name = "busy" };
        _thread.Start();
        running.Wait();
    }

    public void Dispose()
    {
        _ended = true;
        _thread.Join();
    }
}
