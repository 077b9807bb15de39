namespace MigrationD.Guest.Threads;

/// <summary>
/// The threads that run a guest's vCPUs, whatever runs it: they are let go together, stopped together, and all stop when one cannot go on.
/// Members may be called from any thread.
/// </summary>
/// <remarks>
/// One lock says who does something to all of them at a time. Whoever needs them to stand still, to save or load their state, holds it
/// meanwhile; <see cref="End"/> takes out of its wait who waits for memory with it (<see cref="WaitForMemory"/>).
/// </remarks>
internal sealed class VcpuCrew(string guest)
{
    private static readonly TimeSpan KickInterval = TimeSpan.FromMilliseconds(1);

    private readonly Lock _lifecycle = new();
    private readonly List<GuestThread> _threads = [];
    private volatile string? _failure;
    private volatile bool _running;
    private volatile bool _ending;
    private volatile int _waitingThread;
    private bool _ended;

    /// <summary>Whether the vCPUs run.</summary>
    public bool IsRunning => _running && _failure is null;

    /// <summary>Why they cannot go on, or null.</summary>
    public string? Failure => _failure;

    /// <summary>The kernel's ids of the threads, by vCPU.</summary>
    public IReadOnlyList<int> ThreadIds => [.. _threads.Select(thread => thread.KernelId)];

    /// <summary>
    /// Adds a vCPU, before the first one has been let go. <paramref name="who"/> is its name in a failure; the rest is as
    /// <see cref="GuestThread"/> wants it.
    /// </summary>
    public GuestThread Add(string thread, string who, Action run, Action? onGo = null, Action? onStopRequested = null)
    {
        var added = new GuestThread(thread, run, onGo, onStopRequested, error => Fail($"{who} stopped: {error.Message}"));
        _threads.Add(added);
        return added;
    }

    /// <summary>
    /// Lets the vCPUs run, after <paramref name="before"/>, which may say that they cannot go on. Does nothing when they run, or cannot.
    /// </summary>
    public void Resume(Action? before = null)
    {
        using Lock.Scope held = Hold();
        if (_running || _failure is not null)
        {
            return;
        }

        before?.Invoke();
        if (_failure is not null)
        {
            return;
        }

        _running = true;
        foreach (GuestThread thread in _threads)
        {
            thread.Go();
        }

        if (_failure is not null)
        {
            // The first failed before the last was let go.
            RequestStop();
        }
    }

    /// <summary>Stops the vCPUs, does <paramref name="after"/> when all of them have stopped, and returns.</summary>
    public void Pause(Action? after = null)
    {
        lock (_lifecycle)
        {
            // Those of a guest that failed have been asked to stop; this waits until they have.
            RequestStop();
            foreach (GuestThread thread in _threads)
            {
                thread.Stop();
            }

            _running = false;
            if (!_ended)
            {
                after?.Invoke();
            }
        }
    }

    /// <summary>Stops all vCPUs for good. The first reason stays.</summary>
    public void Fail(string reason)
    {
        if (Interlocked.CompareExchange(ref _failure, reason, null) is null)
        {
            RequestStop();
        }
    }

    /// <summary>Keeps everybody else from doing anything to the vCPUs until the scope ends.</summary>
    /// <exception cref="ObjectDisposedException">The guest has ended.</exception>
    public Lock.Scope Hold()
    {
        Lock.Scope held = _lifecycle.EnterScope();
        if (_ended)
        {
            held.Dispose();
            throw new ObjectDisposedException($"guest {guest}");
        }

        return held;
    }

    /// <summary>Keeps the vCPUs still until the scope ends, so that their state can be saved.</summary>
    /// <exception cref="InvalidOperationException">They run, or have failed.</exception>
    public Lock.Scope HoldToSave()
    {
        Lock.Scope held = HoldStill("pause it before saving its state");
        if (_failure is not null)
        {
            held.Dispose();
            throw new InvalidOperationException($"guest {guest} has failed and has no state to save: {_failure}");
        }

        return held;
    }

    /// <summary>Keeps the vCPUs still until the scope ends, so that state can be loaded into them.</summary>
    /// <exception cref="InvalidOperationException">They run.</exception>
    public Lock.Scope HoldToLoad() => HoldStill("state is loaded into a paused guest");

    /// <summary>Keeps the vCPUs still until the scope ends, so that the guest can be given to another host.</summary>
    /// <exception cref="InvalidOperationException">They run.</exception>
    public Lock.Scope HoldToGiveAway() => HoldStill("pause it before it is given to another host");

    /// <summary>
    /// Waits, for the thread that holds the vCPUs, for memory that is missing, until it is there or the guest is ended.
    /// <paramref name="isThere"/> touches it so that a kick ends the wait: it returns false then, and is called again.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The guest is being ended.</exception>
    public void WaitForMemory(Func<bool> isThere)
    {
        _waitingThread = Libc.Gettid();
        try
        {
            while (!isThere())
            {
                if (_ending)
                {
                    throw new ObjectDisposedException($"guest {guest}");
                }
            }
        }
        finally
        {
            _waitingThread = 0;
        }
    }

    /// <summary>Ends the threads, wherever they are, and then releases what they ran on. Only the first call does.</summary>
    public void End(Action release)
    {
        _ending = true;
        while (!_lifecycle.TryEnter(KickInterval))
        {
            if (_waitingThread is var thread and not 0)
            {
                _ = KickSignal.Send(thread);
            }
        }

        try
        {
            if (_ended)
            {
                return;
            }

            _ended = true;
            _running = false;
            RequestStop();
            foreach (GuestThread thread in _threads)
            {
                thread.End();
            }

            release();
        }
        finally
        {
            _lifecycle.Exit();
        }
    }

    private Lock.Scope HoldStill(string rule)
    {
        Lock.Scope held = Hold();
        if (_running)
        {
            held.Dispose();
            throw new InvalidOperationException($"guest {guest} runs; {rule}");
        }

        return held;
    }

    private void RequestStop()
    {
        foreach (GuestThread thread in _threads)
        {
            thread.RequestStop();
        }
    }
}
