using System.Collections.Concurrent;
using Google.Protobuf;
using Grpc.Core;
using MigrationD.Daemon.Tests.Services;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Source.Link;

/// <summary>A destination's daemon with real calls and no guests: answers as a test says, and keeps what it was asked.</summary>
internal sealed class ScriptedTransport : Transport.TransportBase, IAsyncDisposable
{
    private readonly ConcurrentQueue<Asked> _asked = new();
    private LoopbackServer? _server;

    private ScriptedTransport()
    {
    }

    /// <summary>HOST:PORT.</summary>
    public string Address => _server!.Address;

    /// <summary>What it was asked, in order.</summary>
    public IReadOnlyList<Asked> All => [.. _asked];

    /// <summary>
    /// Answers a request, with how many of its kind came before; null for an answer in which nothing is said. Throws where it refuses.
    /// </summary>
    public Func<IMessage, int, IMessage?> Answer { get; set; } = (_, _) => null;

    /// <summary>Answers come when this has ended.</summary>
    public Task Answering { get; set; } = Task.CompletedTask;

    public static async Task<ScriptedTransport> StartAsync()
    {
        var transport = new ScriptedTransport();
        transport._server = await LoopbackServer.StartAsync(transport);
        return transport;
    }

    /// <summary>The requests of one kind.</summary>
    public IReadOnlyList<T> Of<T>()
        where T : IMessage => [.. _asked.Select(one => one.Request).OfType<T>()];

    public override Task<PrepareResponse> Prepare(PrepareRequest request, ServerCallContext context) =>
        ServeAsync<PrepareResponse>(request, context);

    public override Task<ForgetResponse> Forget(ForgetRequest request, ServerCallContext context) =>
        ServeAsync<ForgetResponse>(request, context);

    public override Task<LoadStateResponse> LoadState(LoadStateRequest request, ServerCallContext context) =>
        ServeAsync<LoadStateResponse>(request, context);

    public override Task<RunResponse> Run(RunRequest request, ServerCallContext context) => ServeAsync<RunResponse>(request, context);

    public override Task<QueryOutcomeResponse> QueryOutcome(QueryOutcomeRequest request, ServerCallContext context) =>
        ServeAsync<QueryOutcomeResponse>(request, context);

    public override Task<CompleteResponse> Complete(CompleteRequest request, ServerCallContext context) =>
        ServeAsync<CompleteResponse>(request, context);

    public override Task<RecoverResponse> Recover(RecoverRequest request, ServerCallContext context) =>
        ServeAsync<RecoverResponse>(request, context);

    public override Task<AbortResponse> Abort(AbortRequest request, ServerCallContext context) =>
        ServeAsync<AbortResponse>(request, context);

    public override async Task RelayConsole(
        RelayConsoleRequest request, IServerStreamWriter<ConsoleChunk> responses, ServerCallContext context) =>
        await responses.WriteAsync(await ServeAsync<ConsoleChunk>(request, context));

    public ValueTask DisposeAsync() => _server!.DisposeAsync();

    private async Task<T> ServeAsync<T>(IMessage request, ServerCallContext context)
        where T : class, IMessage, new()
    {
        int before = _asked.Count(one => one.Request.GetType() == request.GetType());
        TimeSpan? patience = context.Deadline == DateTime.MaxValue ? null : context.Deadline - DateTime.UtcNow;
        _asked.Enqueue(new Asked(request, context.Peer, patience));
        await Answering.WaitAsync(context.CancellationToken);
        return (T?)Answer(request, before) ?? new T();
    }

    /// <summary>A request that came.</summary>
    /// <param name="Request">What it says.</param>
    /// <param name="Connection">On which connection.</param>
    /// <param name="Patience">How long its answer is waited for; null for ever.</param>
    internal sealed record Asked(IMessage Request, string Connection, TimeSpan? Patience);
}
