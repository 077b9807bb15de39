using System.Collections.Concurrent;
using System.Diagnostics;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Source.Link;
using MigrationD.Daemon.Source.Push;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Source;

/// <summary>A destination without a daemon: answers as a test says, and keeps what it was told.</summary>
internal sealed class ScriptedDestination(string address, ConcurrentQueue<string> calls) : IDestination
{
    private volatile string _address = address;

    public string Address => _address;

    public string Home { get; set; } = address;

    /// <summary>What it was asked to prepare for, first.</summary>
    public TaskCompletionSource<PrepareRequest> Asked { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Func<CancellationToken, Task> OnPrepare { get; set; } = _ => Task.CompletedTask;

    public Func<CancellationToken, Task> OnLoadState { get; set; } = _ => Task.CompletedTask;

    public Func<CancellationToken, Task> OnRun { get; set; } = _ => Task.CompletedTask;

    public Func<CancellationToken, Task<Outcome>> OnOutcome { get; set; } = _ => Task.FromResult(Outcome.Running);

    /// <summary>Gives new lanes, or null when the destination holds every page.</summary>
    public Func<CancellationToken, Task<ISourceLanes?>> OnRecover { get; set; } = _ => Task.FromResult<ISourceLanes?>(null);

    public Func<CancellationToken, Task> OnComplete { get; set; } = _ => Task.CompletedTask;

    /// <summary>Called when it is asked for its word.</summary>
    public Action OnAskOnce { get; set; } = () => { };

    public DestinationWord Word { get; set; } = DestinationWord.Silent;

    /// <summary>What it has counted when it holds every page.</summary>
    public PlacementCounters? Placement { get; set; }

    /// <summary>The lanes that are opened after the next Prepare.</summary>
    public ScriptedLanes Lanes { get; set; } = new(calls);

    public void MoveTo(string address)
    {
        Note($"move to {address}");
        _address = address;
    }

    public async Task<PrepareResponse> PrepareAsync(PrepareRequest request, bool again, CancellationToken cancel)
    {
        Note(again ? "prepare again" : "prepare");
        Asked.TrySetResult(request);
        await OnPrepare(cancel);
        return new PrepareResponse { Session = "session" };
    }

    public Task<ISourceLanes> OpenLanesAsync(PrepareResponse prepared, int push, OutgoingMemory outgoing, CancellationToken cancel)
    {
        Note($"open lanes of {prepared.Session}");
        Lanes.Outgoing = outgoing;
        return Task.FromResult<ISourceLanes>(Lanes);
    }

    public Task<ISourceLanes?> RecoverAsync(int push, Func<RecoverResponse, OutgoingMemory> outgoing, CancellationToken cancel)
    {
        Note("recover");
        return OnRecover(cancel);
    }

    public Task ForgetAsync(IEnumerable<(long First, long Count)> stale, CancellationToken cancel)
    {
        Note($"forget {string.Join(", ", stale.Select(run => $"{run.First}+{run.Count}"))}");
        return Task.CompletedTask;
    }

    public Task LoadStateAsync(byte[] state, CancellationToken cancel)
    {
        Note("load state");
        return OnLoadState(cancel);
    }

    public async Task<long> RunAsync(CancellationToken cancel)
    {
        Note("run");
        await OnRun(cancel);
        return Stopwatch.GetTimestamp();
    }

    public Task<Outcome> AskOutcomeAsync(CancellationToken cancel)
    {
        Note("ask outcome");
        return OnOutcome(cancel);
    }

    public Task<DestinationWord> AskOnceAsync(CancellationToken cancel)
    {
        Note("ask once");
        OnAskOnce();
        return Task.FromResult(Word);
    }

    public async Task<CompleteResponse> CompleteAsync(CancellationToken cancel)
    {
        Note("complete");
        await OnComplete(cancel);
        return new CompleteResponse { Placement = Placement };
    }

    public Task TryAbortAsync(string reason)
    {
        Note($"abort: {reason}");
        return Task.CompletedTask;
    }

    public IAsyncEnumerable<ConsoleChunk> ReadConsoleAsync(long offset, bool follow, CancellationToken cancel) =>
        throw new NotSupportedException("nobody reads it here");

    public void Dispose() => Note("dispose");

    private void Note(string call) => calls.Enqueue(call);
}

/// <summary>Lanes without connections. Nobody may ask anything of them once they are disposed of.</summary>
internal sealed class ScriptedLanes(ConcurrentQueue<string> calls) : ISourceLanes
{
    private readonly TaskCompletionSource<Exception> _lost = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private LiveFigures _figures = new(1000, 0, null);
    private volatile bool _isDisposed;

    /// <summary>What they send from; null before they are opened.</summary>
    public OutgoingMemory? Outgoing { get; set; }

    /// <summary>
    /// Sends a round, asking whether it must stop; gives how many pages it has sent. All of them unless a test says otherwise.
    /// </summary>
    public Func<Func<bool>, long>? OnRound { get; set; }

    public Task<Exception> Lost => _lost.Task;

    public IHandover? Handover => null;

    public SentPages Sent => Outgoing!.Sent;

    public LiveFigures Figures
    {
        get
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            return _figures;
        }

        set => _figures = value;
    }

    public RamMap Map()
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        return new RamMap([], "");
    }

    public void Lose(string how) => _lost.SetResult(new IOException(how));

    public async Task<long> SendRoundAsync(Func<bool> mustStop, PrecopyMark mark, bool isPaced, CancellationToken cancel)
    {
        calls.Enqueue($"round, then {mark}");
        await Task.Yield();
        return OnRound?.Invoke(mustStop) ?? SendAll();
    }

    public Task SendMarkAsync(PrecopyMark mark, CancellationToken cancel)
    {
        calls.Enqueue($"{mark}");
        return Task.CompletedTask;
    }

    /// <summary>Marks as sent what was not; gives how many pages that were.</summary>
    public long SendAll()
    {
        long before = Sent.Count();
        Sent.MarkAll(0, Outgoing!.Memory.PageCount);
        return Sent.Count() - before;
    }

    public void StartPush() => calls.Enqueue("start push");

    public void GuestRuns(ReadOnlyMemory<long> hottest) =>
        calls.Enqueue(hottest.IsEmpty ? "guest runs" : $"guest runs, hottest: {string.Join(' ', hottest.ToArray())}");

    public Task CloseAsync(bool complete)
    {
        calls.Enqueue(complete ? "close lanes that are done" : "close lanes");
        return Task.CompletedTask;
    }

    public void Dispose()
    {
        _isDisposed = true;
        calls.Enqueue("dispose lanes");
    }
}
