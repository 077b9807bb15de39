using System.Collections.Concurrent;
using System.Net;
using Google.Protobuf;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;

namespace MigrationD.EndToEnd.Tests;

/// <summary>
/// A peer that speaks the real protocol over real sockets and misbehaves where a test wants it to; by default it accepts everything and
/// never runs anything.
/// </summary>
internal sealed class ScriptedDestination : Transport.TransportBase, IAsyncDisposable
{
    private readonly WebApplication _server;
    private readonly LaneListener _lanes;

    private ScriptedDestination()
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddSingleton(this).AddCalls();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.ConfigureForCalls();
            kestrel.Listen(new IPEndPoint(IPAddress.Loopback, 0));
        });
        _server = builder.Build();
        _server.UseCalls();
        _server.MapGrpcService<ScriptedDestination>();
        _lanes = new LaneListener(new IPEndPoint(IPAddress.Loopback, 0), new LaneOptions(), Serve, NullLogger.Instance);
        _lanes.Start();
    }

    /// <summary>What to do first on the urgent lane.</summary>
    public Action<LaneCall> OnUrgentLane { get; set; } = _ => { };

    /// <summary>
    /// Whether it takes a handover lane. What comes on it is answered by the same functions, and is in <see cref="Calls"/> with "lane"
    /// before it.
    /// </summary>
    public bool TakesHandover { get; set; }

    /// <summary>What to do first on the handover lane.</summary>
    public Action<LaneCall> OnHandoverLane { get; set; } = _ => { };

    /// <summary>Told of each order on the handover lane before it is answered.</summary>
    public Action<LaneCall, HandoverOrder> OnOrder { get; set; } = (_, _) => { };

    public Func<PrepareRequest, PrepareResponse>? OnPrepare { get; set; }

    public Func<LoadStateRequest, LoadStateResponse> OnLoadState { get; set; } = _ => new LoadStateResponse();

    public Func<RunResponse> OnRun { get; set; } = () => new RunResponse();

    public Func<QueryOutcomeResponse> OnQueryOutcome { get; set; } = () => new QueryOutcomeResponse { Outcome = Outcome.NeverStarted };

    public ConcurrentQueue<string> Calls { get; } = [];

    public string Address => new Uri(
        _server.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First()).Authority;

    public PrepareResponse Prepared => new()
    {
        Session = "scripted",
        Secret = Google.Protobuf.ByteString.CopyFrom(new byte[32]),
        Lanes = _lanes.LocalEndPoint.ToString(),
        HandoverLane = TakesHandover,
    };

    public static async Task<ScriptedDestination> StartAsync()
    {
        var destination = new ScriptedDestination();
        await destination._server.StartAsync();
        return destination;
    }

    public override Task<PrepareResponse> Prepare(PrepareRequest request, ServerCallContext context) =>
        Answer("Prepare", () => OnPrepare?.Invoke(request) ?? Prepared);

    public override Task<LoadStateResponse> LoadState(LoadStateRequest request, ServerCallContext context) =>
        Answer("LoadState", () => OnLoadState(request));

    public override Task<RunResponse> Run(RunRequest request, ServerCallContext context) => Answer("Run", OnRun);

    public override Task<QueryOutcomeResponse> QueryOutcome(QueryOutcomeRequest request, ServerCallContext context) =>
        Answer("QueryOutcome", OnQueryOutcome);

    public override Task<AbortResponse> Abort(AbortRequest request, ServerCallContext context) => Answer("Abort", () => new AbortResponse());

    public async ValueTask DisposeAsync()
    {
        _lanes.Dispose();
        await _server.DisposeAsync();
    }

    private void Serve(LaneCall call)
    {
        call.Accept();
        switch (call.Path)
        {
            case PageLanePaths.Urgent:
                OnUrgentLane(call);
                break;
            case PageLanePaths.Handover:
                OnHandoverLane(call);
                TakeOrders(call);
                break;
        }

        Drain(call);
    }

    private void TakeOrders(LaneCall call)
    {
        while (call.TryReadMessage(out int length))
        {
            byte[] message = new byte[length];
            call.Read(message);
            HandoverOrder order = HandoverOrder.Parser.ParseFrom(message);
            Calls.Enqueue($"lane {order.OrderCase}");
            OnOrder(call, order);
            call.Write(Answer(order).ToByteArray());
        }
    }

    private HandoverAnswer Answer(HandoverOrder order)
    {
        try
        {
            switch (order.OrderCase)
            {
                case HandoverOrder.OrderOneofCase.LoadState:
                    OnLoadState(order.LoadState);
                    break;
                case HandoverOrder.OrderOneofCase.Run:
                    OnRun();
                    break;
            }

            return new HandoverAnswer();
        }
        catch (Refusal refusal)
        {
            return new HandoverAnswer { Code = (uint)refusal.Why, Message = refusal.Message };
        }
    }

    private static void Drain(LaneCall call)
    {
        byte[] buffer = new byte[1 << 20];
        while (call.TryReadMessage(out int length))
        {
            for (int left = length; left > 0;)
            {
                int part = Math.Min(left, buffer.Length);
                call.Read(buffer.AsSpan(0, part));
                left -= part;
            }
        }
    }

    private Task<T> Answer<T>(string call, Func<T> answer)
    {
        Calls.Enqueue(call);
        return Task.Run(answer);
    }
}
