using MigrationD.Daemon.Source.Link;
using MigrationD.Daemon.Source.Push;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Draining;

/// <summary>A destination that never answers Prepare, so that a migration to it is under way until somebody ends it.</summary>
internal sealed class SilentDestination(string address) : IDestination
{
    public string Home => address;

    public string Address => address;

    /// <summary>What it was asked to prepare for.</summary>
    public TaskCompletionSource<PrepareRequest> Asked { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public async Task<PrepareResponse> PrepareAsync(PrepareRequest request, bool again, CancellationToken cancel)
    {
        Asked.TrySetResult(request);
        await Task.Delay(Timeout.Infinite, cancel);
        throw new InvalidOperationException("it never answers");
    }

    public Task TryAbortAsync(string reason) => Task.CompletedTask;

    public void Dispose()
    {
    }

    public void MoveTo(string address) => throw NotAsked();

    public Task<ISourceLanes> OpenLanesAsync(PrepareResponse prepared, int push, OutgoingMemory outgoing, CancellationToken cancel) =>
        throw NotAsked();

    public Task<ISourceLanes?> RecoverAsync(int push, Func<RecoverResponse, OutgoingMemory> outgoing, CancellationToken cancel) =>
        throw NotAsked();

    public Task<Outcome> AskOutcomeAsync(CancellationToken cancel) => throw NotAsked();

    public Task<DestinationWord> AskOnceAsync(CancellationToken cancel) => throw NotAsked();

    public Task<CompleteResponse> CompleteAsync(CancellationToken cancel) => throw NotAsked();

    public Task ForgetAsync(IEnumerable<(long First, long Count)> stale, CancellationToken cancel) => throw NotAsked();

    public Task LoadStateAsync(byte[] state, CancellationToken cancel) => throw NotAsked();

    public Task<long> RunAsync(CancellationToken cancel) => throw NotAsked();

    public IAsyncEnumerable<ConsoleChunk> ReadConsoleAsync(long offset, bool follow, CancellationToken cancel) => throw NotAsked();

    private static NotSupportedException NotAsked() => new("nothing was prepared here");
}
