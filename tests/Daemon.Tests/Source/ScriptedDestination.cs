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

    public DestinationWord Word { get; set; } = DestinationWord.Silent;

    /// <summary>The lanes that are opened first.</summary>
    public ScriptedLanes Lanes { get; } = new(calls);

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
        return Task.FromResult<ISourceLanes>(Lanes);
    }

    public Task<ISourceLanes?> RecoverAsync(int push, Func<RecoverResponse, OutgoingMemory> outgoing, CancellationToken cancel)
    {
        Note("recover");
        return OnRecover(cancel);
    }

    public Task ForgetAsync(IEnumerable<(long First, long Count)> stale, CancellationToken cancel)
    {
        Note("forget");
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
        return Task.FromResult(Word);
    }

    public async Task<CompleteResponse> CompleteAsync(CancellationToken cancel)
    {
        Note("complete");
        await OnComplete(cancel);
        return new CompleteResponse();
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

/// <summary>Lanes without connections.</summary>
internal sealed class ScriptedLanes(ConcurrentQueue<string> calls) : ISourceLanes
{
    private readonly TaskCompletionSource<Exception> _lost = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task<Exception> Lost => _lost.Task;

    public IHandover? Handover => null;

    public SentPages Sent { get; } = new(512);

    public LiveFigures Figures => new(1000, 0, null);

    public RamMap Map() => new([], "");

    public void Lose(string how) => _lost.SetResult(new IOException(how));

    public Task<long> SendRoundAsync(Func<bool> mustStop, PrecopyMark mark, bool isPaced, CancellationToken cancel) =>
        Task.FromResult(0L);

    public Task SendMarkAsync(PrecopyMark mark, CancellationToken cancel) => Task.CompletedTask;

    public void StartPush() => calls.Enqueue("start push");

    public void GuestRuns(ReadOnlyMemory<long> hottest) => calls.Enqueue("guest runs");

    public Task CloseAsync(bool complete)
    {
        calls.Enqueue(complete ? "close lanes that are done" : "close lanes");
        return Task.CompletedTask;
    }

    public void Dispose() => calls.Enqueue("dispose lanes");
}
