using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using MigrationD.Protocol.Grpc;
using MigrationD.Protocol.Grpc.Lanes;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.V1;

namespace MigrationD.EndToEnd.Tests;

/// <summary>
/// A peer that speaks the real protocol over real sockets and misbehaves where a test wants it to; by default it accepts everything and
/// never runs anything.
/// </summary>
internal sealed class ScriptedDestination : IAsyncDisposable
{
    private readonly WebApplication _server;
    private readonly LaneListener _lanes;

    private ScriptedDestination(WebApplication server)
    {
        _server = server;
        _lanes = new LaneListener(new IPEndPoint(IPAddress.Loopback, 0), new LaneOptions(), Serve, NullLogger.Instance);
        _lanes.Start();
    }

    /// <summary>What to do first on the urgent lane.</summary>
    public Action<LaneCall> OnUrgentLane { get; set; } = _ => { };

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
    };

    public static async Task<ScriptedDestination> StartAsync()
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddRouting();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.ConfigureForGrpc();
            kestrel.Listen(new IPEndPoint(IPAddress.Loopback, 0));
        });
        WebApplication server = builder.Build();
        var destination = new ScriptedDestination(server);
        destination.Map(server);
        await server.StartAsync();
        return destination;
    }

    public async ValueTask DisposeAsync()
    {
        _lanes.Dispose();
        await _server.DisposeAsync();
    }

    private void Serve(LaneCall call)
    {
        call.Accept();
        if (call.Path == PageLanePaths.Urgent)
        {
            OnUrgentLane(call);
        }

        Drain(call);
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

    private void Map(WebApplication server)
    {
        server.MapUnary(TransportMethods.Prepare, (request, _) => Answer("Prepare", () => OnPrepare?.Invoke(request) ?? Prepared));
        server.MapUnary(TransportMethods.LoadState, (request, _) => Answer("LoadState", () => OnLoadState(request)));
        server.MapUnary(TransportMethods.Run, (_, _) => Answer("Run", OnRun));
        server.MapUnary(TransportMethods.QueryOutcome, (_, _) => Answer("QueryOutcome", OnQueryOutcome));
        server.MapUnary(TransportMethods.Abort, (_, _) => Answer("Abort", () => new AbortResponse()));
    }

    private Task<T> Answer<T>(string call, Func<T> answer)
    {
        Calls.Enqueue(call);
        return Task.Run(answer);
    }
}
