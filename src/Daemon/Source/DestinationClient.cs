using System.Net;
using Google.Protobuf;
using Microsoft.Extensions.Logging;
using MigrationD.Daemon.Threading;
using MigrationD.Protocol.Grpc;
using MigrationD.Protocol.Grpc.Lanes;
using MigrationD.Protocol.V1;
using Polly;
using Polly.Retry;
using Outcome = MigrationD.Protocol.V1.Outcome;

namespace MigrationD.Daemon.Source;

/// <summary>The destination daemon as its source sees it: one control connection, one session.</summary>
internal sealed class DestinationClient : IDisposable
{
    // A daemon that restarts is back within this; a dead address is said within it.
    private static readonly TimeSpan DialFor = TimeSpan.FromSeconds(2);

    // Preparing maps and registers memory and creates a machine: far below a second, but a busy host may be slow.
    private static readonly TimeSpan PrepareDeadline = TimeSpan.FromSeconds(30);

    // The guest stands still here and there meanwhile, so a destination that is slower than this is no better than a dead one.
    private static readonly TimeSpan LoadStateDeadline = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan RunDeadline = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan AbortDeadline = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan LongestPauseBetweenQuestions = TimeSpan.FromSeconds(5);

    private readonly string _address;
    private readonly ILogger _logger;
    private readonly GrpcChannel _channel;
    private readonly ResiliencePipeline _dial;
    private readonly ResiliencePipeline _untilAnswered;
    private string? _session;

    /// <summary>A daemon at HOST:PORT; nothing is dialled yet.</summary>
    public DestinationClient(string address, ILogger logger)
    {
        _address = address;
        _logger = logger;
        _channel = GrpcChannel.Connect(address);
        _dial = GrpcDialing.DialPipeline(DialFor, logger);
        _untilAnswered = new ResiliencePipelineBuilder()
            .AddRetry(new RetryStrategyOptions
            {
                ShouldHandle = new PredicateBuilder().Handle<GrpcException>(),
                BackoffType = DelayBackoffType.Exponential,
                UseJitter = true,
                Delay = TimeSpan.FromMilliseconds(50),
                MaxDelay = LongestPauseBetweenQuestions,
                MaxRetryAttempts = int.MaxValue,
                OnRetry = retry =>
                {
                    DaemonLog.AskingAgain(_logger, _session!, _address, retry.Outcome.Exception?.Message ?? "");
                    return ValueTask.CompletedTask;
                },
            })
            .Build();
    }

    /// <summary>Asks the destination to make everything ready. A repeated request replaces what the first one prepared.</summary>
    public async Task<PrepareResponse> PrepareAsync(PrepareRequest request, CancellationToken cancel)
    {
        PrepareResponse response = await _dial.ExecuteAsync(
            async stop => await _channel.CallAsync(TransportMethods.Prepare, request, PrepareDeadline, stop).ConfigureAwait(false), cancel)
            .ConfigureAwait(false);
        _session = response.Session;
        return response;
    }

    /// <summary>Where this session's lanes are: the host that was dialled, unless the destination names another.</summary>
    public async Task<EndPoint> LanesOfAsync(PrepareResponse prepared, CancellationToken cancel)
    {
        int colon = prepared.Lanes.LastIndexOf(':');
        if (colon < 0 || !ushort.TryParse(prepared.Lanes.AsSpan(colon + 1), out ushort port) || port == 0)
        {
            throw new GrpcException(
                GrpcStatusCode.Internal, $"the destination {_address} says its lanes are at '{prepared.Lanes}', which is no HOST:PORT");
        }

        string host = (colon > 0 ? prepared.Lanes[..colon] : _address[.._address.LastIndexOf(':')]).Trim('[', ']');
        IPAddress[] addresses = await Dns.GetHostAddressesAsync(host, cancel).ConfigureAwait(false);
        return new IPEndPoint(addresses[0], port);
    }

    /// <summary>Opens the lanes on a thread of their own.</summary>
    public async Task<SourceLanes> DialLanesAsync(Func<SourceLanes> open, CancellationToken cancel) => await _dial.ExecuteAsync(
        async _ =>
        {
            try
            {
                return await DedicatedThread.Start("dial lanes", open).ConfigureAwait(false);
            }
            catch (LaneException error)
            {
                throw new GrpcException(
                    GrpcStatusCode.Unavailable,
                    $"the lanes of {_address} cannot be opened: {error.Message}; look at that daemon's --lanes",
                    error);
            }
        },
        cancel).ConfigureAwait(false);

    /// <summary>Sends the device state; the answer means that the guest could run there now. Never repeated.</summary>
    public Task LoadStateAsync(byte[] state, CancellationToken cancel) => _channel.CallAsync(
        TransportMethods.LoadState,
        new LoadStateRequest { Session = _session, DeviceState = UnsafeByteOperations.UnsafeWrap(state) },
        LoadStateDeadline,
        cancel);

    /// <summary>Lets the guest run there. Sent once: when no answer comes, <see cref="AskOutcomeAsync"/> finds out.</summary>
    public Task RunAsync(CancellationToken cancel) =>
        _channel.CallAsync(TransportMethods.Run, new RunRequest { Session = _session }, RunDeadline, cancel);

    /// <summary>Asks whether the guest ever ran there, until there is an answer.</summary>
    public async Task<Outcome> AskOutcomeAsync(CancellationToken cancel)
    {
        QueryOutcomeResponse answer = await _untilAnswered.ExecuteAsync(
            async stop => await _channel.CallAsync(
                TransportMethods.QueryOutcome, new QueryOutcomeRequest { Session = _session }, RunDeadline, stop).ConfigureAwait(false),
            cancel).ConfigureAwait(false);
        return answer.Outcome;
    }

    /// <summary>Ends when the destination holds every page; asked again when the control connection breaks meanwhile.</summary>
    public Task<CompleteResponse> CompleteAsync(CancellationToken cancel) => _untilAnswered.ExecuteAsync(
        async stop => await _channel.CallAsync(
            TransportMethods.Complete, new CompleteRequest { Session = _session }, deadline: null, stop).ConfigureAwait(false),
        cancel).AsTask();

    /// <summary>Tells the destination to forget the session, if it can be told; it finds out by itself otherwise.</summary>
    public async Task TryAbortAsync(string reason)
    {
        if (_session is null)
        {
            return;
        }

        try
        {
            await _channel.CallAsync(
                TransportMethods.Abort, new AbortRequest { Session = _session, Reason = reason }, AbortDeadline, CancellationToken.None)
                .ConfigureAwait(false);
        }
        catch (GrpcException error)
        {
            DaemonLog.AbortUndelivered(_logger, _session, _address, error.Message);
        }
    }

    public void Dispose() => _channel.Dispose();
}
