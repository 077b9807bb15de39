namespace MigrationD.Guest.Threads;

/// <summary>
/// A thread that runs guest code: it is let go, stopped from outside wherever it is, and let go again. It may sit in the kernel for as long
/// as it likes; <see cref="KickSignal"/> gets it out.
/// </summary>
internal sealed class GuestThread
{
    // A kick can come a moment before the thread enters what it should be kicked out of; then the next one gets it.
    private static readonly TimeSpan KickInterval = TimeSpan.FromMilliseconds(1);

    private readonly Lock _entry = new();
    private readonly object _gate = new();
    private readonly Action _run;
    private readonly Action? _onGo;
    private readonly Action? _onStopRequested;
    private readonly Action<Exception> _onFailure;
    private readonly Thread _thread;
    private volatile Wish _wish = Wish.Stopped;
    private bool _parked;
    private bool _ended;
    private volatile int _kernelId;

    /// <summary>A thread that is started, and stopped until <see cref="Go"/>.</summary>
    /// <param name="name">As operators see it in top -H; at most 15 characters.</param>
    /// <param name="run">Runs guest code; returns soon after <see cref="StopRequested"/> became true and the thread was kicked.</param>
    /// <param name="onGo">Called on the thread that lets it go, before it runs.</param>
    /// <param name="onStopRequested">Called on the stopping thread before the kick; may be called more than once.</param>
    /// <param name="onFailure">What <paramref name="run"/> threw. The thread is stopped then.</param>
    public GuestThread(string name, Action run, Action? onGo, Action? onStopRequested, Action<Exception> onFailure)
    {
        _run = run;
        _onGo = onGo;
        _onStopRequested = onStopRequested;
        _onFailure = onFailure;
        KickSignal.EnsureInstalled();
        _thread = new Thread(Main) { Name = name, IsBackground = true };
        _thread.Start();
    }

    private enum Wish
    {
        Stopped,
        Running,
        Ended,
    }

    /// <summary>Whether the thread is to return from its work.</summary>
    public bool StopRequested => _wish != Wish.Running;

    /// <summary>The kernel's id of the thread; 0 once it has ended.</summary>
    public int KernelId
    {
        get
        {
            lock (_gate)
            {
                // It takes its id before it parks for the first time, and says so.
                while (_kernelId == 0 && !_ended)
                {
                    Monitor.Wait(_gate);
                }

                return _kernelId;
            }
        }
    }

    /// <summary>Lets the thread run. It must be stopped, or running already.</summary>
    public void Go()
    {
        lock (_gate)
        {
            if (_wish == Wish.Stopped)
            {
                _onGo?.Invoke();
                _wish = Wish.Running;
                Monitor.PulseAll(_gate);
            }
        }
    }

    /// <summary>Asks the thread to stop and returns at once; it may be the thread itself that asks.</summary>
    public void RequestStop()
    {
        lock (_gate)
        {
            if (_wish == Wish.Running)
            {
                _wish = Wish.Stopped;
            }
        }

        _onStopRequested?.Invoke();
        Kick();
    }

    /// <summary>Stops the thread and returns when it has stopped.</summary>
    public void Stop()
    {
        lock (_entry)
        {
            RequestStop();
            WaitUntil(() => _parked || _ended);
        }
    }

    /// <summary>Stops the thread for good.</summary>
    public void End()
    {
        lock (_entry)
        {
            lock (_gate)
            {
                _wish = Wish.Ended;
                Monitor.PulseAll(_gate);
            }

            _onStopRequested?.Invoke();
            WaitUntil(() => _ended);
        }

        _thread.Join();
    }

    private void WaitUntil(Func<bool> reached)
    {
        lock (_gate)
        {
            while (!reached())
            {
                if (!Monitor.Wait(_gate, KickInterval))
                {
                    Kick();
                }
            }
        }
    }

    private void Kick()
    {
        if ((_kernelId is var thread and not 0) && thread != Libc.Gettid())
        {
            // On a busy host it may be waiting for a processor, and would hear of the kick when its turn comes: the guest's downtime.
            ThreadRank.Hurry(thread);
            _ = KickSignal.Send(thread);
        }
    }

    private void Main()
    {
        _kernelId = Libc.Gettid();
        while (WaitForGo())
        {
            ThreadRank.StepBack();
            try
            {
                _run();
            }
            catch (Exception error)
            {
                // Nobody is above this frame: the guest fails, the daemon and its other guests go on.
                _onFailure(error);
            }
        }

        lock (_gate)
        {
            // Under the lock, so that nobody kicks an id that the kernel has given to another thread.
            _kernelId = 0;
            _ended = true;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Parks until the thread may run; false when it is to end.</summary>
    private bool WaitForGo()
    {
        lock (_gate)
        {
            _parked = true;
            Monitor.PulseAll(_gate);
            while (_wish == Wish.Stopped)
            {
                Monitor.Wait(_gate);
            }

            _parked = false;
            return _wish == Wish.Running;
        }
    }
}
