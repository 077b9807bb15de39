using System.Buffers.Binary;
using System.Collections.Concurrent;
using Google.Protobuf;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace MigrationD.EndToEnd.Tests.Readers;

/// <summary>
/// A collector for OTLP on loopback, which understands as much of what it gets as tests want to know (opentelemetry-proto,
/// collector/metrics/v1/metrics_service.proto).
/// </summary>
internal sealed class OtlpCollector : IAsyncDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    private readonly WebApplication _application;
    private readonly ConcurrentQueue<OtlpExport> _exports = new();
    private readonly bool _refuses;

    private OtlpCollector(WebApplication application, bool refuses)
    {
        _application = application;
        _refuses = refuses;
    }

    /// <summary>Its URL.</summary>
    public string Address => _application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();

    /// <summary>What has come so far.</summary>
    public IReadOnlyList<OtlpExport> Exports => [.. _exports];

    /// <summary>Listens.</summary>
    /// <param name="protocol">As OTEL_EXPORTER_OTLP_PROTOCOL has it: <c>grpc</c> or <c>http/protobuf</c>.</param>
    /// <param name="refuses">Whether it takes nothing.</param>
    public static async Task<OtlpCollector> StartAsync(string protocol, bool refuses = false)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(
            System.Net.IPAddress.Loopback, 0,
            listen => listen.Protocols = protocol == "grpc" ? HttpProtocols.Http2 : HttpProtocols.Http1));
        WebApplication application = builder.Build();
        var collector = new OtlpCollector(application, refuses);
        application.MapPost("/v1/metrics", (RequestDelegate)collector.TakeHttpAsync);
        application.MapPost("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", (RequestDelegate)collector.TakeCallAsync);
        await application.StartAsync();
        return collector;
    }

    /// <summary>Waits until what has come is as wanted.</summary>
    public async Task ExportsUntilAsync(Func<IReadOnlyList<OtlpExport>, bool> wanted)
    {
        var clock = System.Diagnostics.Stopwatch.StartNew();
        while (!wanted(Exports))
        {
            Assert.True(
                clock.Elapsed < Deadline, $"within {Deadline} {_exports.Count} exports have come; the last one: {Exports.LastOrDefault()}");
            await Task.Delay(20);
        }
    }

    public async ValueTask DisposeAsync() => await _application.DisposeAsync();

    private async Task TakeHttpAsync(HttpContext http)
    {
        _exports.Enqueue(OtlpExport.Parse(await ReadAsync(http)));
        http.Response.StatusCode = _refuses ? StatusCodes.Status400BadRequest : StatusCodes.Status200OK;
    }

    private async Task TakeCallAsync(HttpContext http)
    {
        byte[] framed = await ReadAsync(http);
        Assert.Equal(framed.Length - 5, (int)BinaryPrimitives.ReadUInt32BigEndian(framed.AsSpan(1)));
        _exports.Enqueue(OtlpExport.Parse(framed[5..]));
        http.Response.ContentType = "application/grpc";
        // An empty answer.
        await http.Response.Body.WriteAsync(new byte[5]);
        http.Response.AppendTrailer("grpc-status", _refuses ? "3" : "0");
    }

    private static async Task<byte[]> ReadAsync(HttpContext http)
    {
        using var body = new MemoryStream();
        await http.Request.Body.CopyToAsync(body);
        return body.ToArray();
    }
}

/// <summary>One ExportMetricsServiceRequest.</summary>
/// <param name="Resource">Who has sent it: the attributes that are text.</param>
/// <param name="Metrics">The names of the metrics.</param>
internal sealed record OtlpExport(IReadOnlyDictionary<string, string> Resource, IReadOnlyList<string> Metrics)
{
    /// <summary>Takes it apart by the numbers of its fields.</summary>
    public static OtlpExport Parse(byte[] request)
    {
        // resource_metrics = 1 { resource = 1 { attributes = 1 { key = 1, value = 2 { string_value = 1 } } }, scope_metrics = 2 }
        ByteString[] resources = [.. Fields(request, 1)];
        return new OtlpExport(
            resources.SelectMany(one => Fields(one, 1)).SelectMany(resource => Fields(resource, 1)).ToDictionary(
                attribute => Fields(attribute, 1).Single().ToStringUtf8(),
                attribute => Fields(Fields(attribute, 2).Single(), 1).SingleOrDefault()?.ToStringUtf8() ?? ""),
            // scope_metrics { metrics = 2 { name = 1 } }
            [
                .. resources.SelectMany(one => Fields(one, 2)).SelectMany(scope => Fields(scope, 2))
                    .Select(metric => Fields(metric, 1).Single().ToStringUtf8()),
            ]);
    }

    private static IEnumerable<ByteString> Fields(ByteString message, int number) => Fields(message.ToByteArray(), number);

    private static List<ByteString> Fields(byte[] message, int number)
    {
        var fields = new List<ByteString>();
        var input = new CodedInputStream(message);
        while (input.ReadTag() is var tag && tag != 0)
        {
            if (WireFormat.GetTagFieldNumber(tag) == number && WireFormat.GetTagWireType(tag) == WireFormat.WireType.LengthDelimited)
            {
                fields.Add(input.ReadBytes());
            }
            else
            {
                input.SkipLastField();
            }
        }

        return fields;
    }
}
