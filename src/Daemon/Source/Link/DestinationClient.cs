using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using Google.Protobuf;
using MigrationD.Daemon.Faults;
using MigrationD.Daemon.Logging;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Security;
using MigrationD.Daemon.Source.Push;
using MigrationD.Daemon.Threading;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.V1;
using Polly;
using Polly.Retry;
using Outcome = MigrationD.Protocol.V1.Outcome;

namespace MigrationD.Daemon.Source.Link;

/// <summary>The destination daemon as its source sees it: one control connection, one session.</summary>
internal sealed class DestinationClient : IDestination
{
    // A daemon that restarts is back within this; a dead address is said within it.
    private static readonly TimeSpan DialFor = TimeSpan.FromSeconds(2);

    // Preparing maps and registers memory and creates a machine: far below a second, but a busy host may be slow.
    private static readonly TimeSpan PrepareDeadline = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan OutcomeDeadline = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan AbortDeadline = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan LongestPauseBetweenQuestions = TimeSpan.FromSeconds(5);

    private readonly MigrationTimeouts _timeouts;
    private readonly HandoverPatience _patience;
    private readonly PeerSecurity _security;
    private readonly ILogger _logger;
    private readonly TimeProvider _time;
    private readonly ResiliencePipeline _dial;
    private readonly ResiliencePipeline _untilAnswered;
    private string _address;
    private volatile string _home;
    private CallChannel _channel;
    private string? _session;

    /// <summary>A daemon at HOST:PORT; nothing is dialled yet.</summary>
    /// <param name="address">HOST:PORT.</param>
    /// <param name="timeouts">How long it is waited for.</param>
    /// <param name="security">Whether it may have guests.</param>
    /// <param name="logger">The daemon's log.</param>
    /// <param name="time">The clock that it is dialled by. Deadlines of calls go by the system's.</param>
    public DestinationClient(string address, MigrationTimeouts timeouts, PeerSecurity security, ILogger logger, TimeProvider time)
    {
        _address = address;
        _home = address;
        _timeouts = timeouts;
        _patience = HandoverPatience.Of(timeouts);
        _security = security;
        _logger = logger;
        _time = time;
        _channel = Connect(address);
        _dial = Dialing.Pipeline(DialFor, _logger, _time);
        _untilAnswered = new ResiliencePipelineBuilder { TimeProvider = time }
            .AddRetry(new RetryStrategyOptions
            {
                // A daemon that answers has said what there is to say.
                ShouldHandle = new PredicateBuilder().Handle<Refusal>(
                    error => error.Why is not (Because.NotFound or Because.NotNow or Because.Gone))
                    .Handle<SocketException>(),
                BackoffType = DelayBackoffType.Exponential,
                UseJitter = true,
                Delay = TimeSpan.FromMilliseconds(50),
                MaxDelay = LongestPauseBetweenQuestions,
                MaxRetryAttempts = int.MaxValue,
                OnRetry = retry =>
                {
                    DaemonLog.AskingAgain(_logger, _session!, _address, retry.Outcome.Exception?.Message ?? "");
                    Redial();
                    return ValueTask.CompletedTask;
                },
            })
            .Build();
    }

    public string Address => _address;

    public string Home => _home;

    public void MoveTo(string address)
    {
        _address = address;
        Redial();
    }

    public async Task<PrepareResponse> PrepareAsync(PrepareRequest request, bool again, CancellationToken cancellationToken)
    {
        if (again)
        {
            Redial();
        }

        ResiliencePipeline dial = again ? Dialing.Pipeline(_timeouts.Recovery, _logger, _time) : _dial;
        try
        {
            PrepareResponse response = await dial.ExecuteAsync(
                async stop => await Calls.PrepareAsync(request, deadline: Within(PrepareDeadline), cancellationToken: stop)
                    .ConfigureAwait(false),
                cancellationToken).ConfigureAwait(false);
            _session = response.Session.Length > 0 ? response.Session : _session;
            return response;
        }
        catch (Refusal refusal) when (refusal.Why is Because.AlreadyThere or Because.Busy or Because.NotNow or Because.Invalid)
        {
            // What the destination calls "this node" is not this one.
            throw new Refusal(refusal.Why, $"the destination {_address} refuses: {refusal.Message}", refusal);
        }
    }

    public async Task<ISourceLanes> OpenLanesAsync(
        PrepareResponse prepared, int push, OutgoingMemory outgoing, CancellationToken cancellationToken)
    {
        IReadOnlyList<IPEndPoint> lanes = await LanesOfAsync(prepared.Lanes, cancellationToken).ConfigureAwait(false);
        FaultInjection.At("source.lanes");
        var wanted = new LanesWanted(push, prepared.HandoverLane ? _patience : null);
        return await _dial.ExecuteAsync(
            async _ => await DialLanesAsync(
                lanes,
                (address, options) => SourceLanes.Open(
                    Dial(address, prepared.Session, prepared.Secret, options), wanted, outgoing, _logger, cancellationToken))
                .ConfigureAwait(false),
            cancellationToken).ConfigureAwait(false);
    }

    public async Task<ISourceLanes?> RecoverAsync(
        int push, Func<RecoverResponse, OutgoingMemory> outgoing, CancellationToken cancellationToken) =>
        await _untilAnswered.ExecuteAsync(
            async stop =>
            {
                RecoverResponse answer = await Calls.RecoverAsync(
                    new RecoverRequest { Session = _session }, deadline: Within(_timeouts.Link), cancellationToken: stop)
                    .ConfigureAwait(false);
                _home = _address;
                if (answer.Complete)
                {
                    return null;
                }

                IReadOnlyList<IPEndPoint> lanes = await LanesOfAsync(answer.Lanes, stop).ConfigureAwait(false);
                return await DialLanesAsync(lanes, (address, options) =>
                {
                    FaultInjection.At("source.recover-lanes");
                    return SourceLanes.Open(
                        Dial(address, _session!, answer.Secret, options), new LanesWanted(push), outgoing(answer), _logger,
                        cancellationToken);
                }).ConfigureAwait(false);
            },
            cancellationToken).ConfigureAwait(false);

    public async Task ForgetAsync(IEnumerable<(long First, long Count)> stale, CancellationToken cancellationToken)
    {
        foreach (ForgetRequest some in StalePages.Messages(stale))
        {
            some.Session = _session;
            await Calls.ForgetAsync(some, deadline: Within(_patience.Forget), cancellationToken: cancellationToken).ConfigureAwait(false);
        }
    }

    public async Task LoadStateAsync(byte[] state, CancellationToken cancellationToken) => await Calls.LoadStateAsync(
        new LoadStateRequest { Session = _session, DeviceState = UnsafeByteOperations.UnsafeWrap(state) },
        deadline: Within(_patience.LoadState), cancellationToken: cancellationToken).ConfigureAwait(false);

    public async Task<long> RunAsync(CancellationToken cancellationToken)
    {
        await Calls.RunAsync(
            new RunRequest { Session = _session }, deadline: Within(_patience.Run), cancellationToken: cancellationToken)
            .ConfigureAwait(false);
        return Stopwatch.GetTimestamp();
    }

    public async Task<Outcome> AskOutcomeAsync(CancellationToken cancellationToken)
    {
        QueryOutcomeResponse answer = await _untilAnswered.ExecuteAsync(
            async stop => await Calls.QueryOutcomeAsync(
                new QueryOutcomeRequest { Session = _session }, deadline: Within(OutcomeDeadline), cancellationToken: stop)
                .ConfigureAwait(false),
            cancellationToken).ConfigureAwait(false);
        return answer.Outcome;
    }

    public async Task<DestinationWord> AskOnceAsync(CancellationToken cancellationToken)
    {
        using CallChannel channel = Connect(_home);
        try
        {
            QueryOutcomeResponse answer = await new Transport.TransportClient(channel.Invoker).QueryOutcomeAsync(
                new QueryOutcomeRequest { Session = _session }, deadline: Within(_timeouts.Link), cancellationToken: cancellationToken)
                .ConfigureAwait(false);
            return answer.Outcome == Outcome.Running ? DestinationWord.HasGuest : DestinationWord.KnowsNothing;
        }
        catch (Refusal error)
        {
            return error.Why is Because.NotFound or Because.NotNow or Because.Gone
                ? DestinationWord.KnowsNothing
                : DestinationWord.Silent;
        }
    }

    public Task<CompleteResponse> CompleteAsync(CancellationToken cancellationToken) => _untilAnswered.ExecuteAsync(
        async stop => await Calls.CompleteAsync(
            new CompleteRequest { Session = _session }, cancellationToken: stop).ConfigureAwait(false),
        cancellationToken).AsTask();

    public async Task TryAbortAsync(string reason)
    {
        if (_session is null)
        {
            return;
        }

        try
        {
            await Calls.AbortAsync(
                new AbortRequest { Session = _session, Reason = reason }, deadline: Within(AbortDeadline)).ConfigureAwait(false);
        }
        catch (Refusal error)
        {
            DaemonLog.AbortUndelivered(_logger, _session, _address, error.Message);
        }
    }

    /// <remarks>Goes on working after <see cref="Dispose"/>: a console is read for as long as anybody wants to, a migration ends.</remarks>
    public async IAsyncEnumerable<ConsoleChunk> ReadConsoleAsync(
        long offset, bool follow, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using CallChannel channel = Connect(_home);
        var request = new RelayConsoleRequest { Session = _session, Offset = (ulong)offset, Follow = follow };
        await foreach (ConsoleChunk chunk in new Transport.TransportClient(channel.Invoker)
            .RelayConsole(request, cancellationToken: cancellationToken)
            .ReadToEndAsync(cancellationToken).ConfigureAwait(false))
        {
            yield return chunk;
        }
    }

    public void Dispose() => _channel.Dispose();

    private Transport.TransportClient Calls => new(_channel.Invoker);

    private static DateTime Within(TimeSpan patience) => DateTime.UtcNow + patience;

    private LaneDial Dial(IPEndPoint address, string session, ByteString secret, LaneOptions options) =>
        new(address, session, secret, options) { Time = _time };

    private CallChannel Connect(string address) => CallChannel.Connect(
        address,
        new CallChannelOptions
        {
            KeepAlive = _timeouts.Link / 2,
            ConnectTimeout = _timeouts.Link,
            Tls = _security.Outgoing(address),
            RefuseAddress = _security.RefusePlaintext,
            // The received bitmap of the largest guest, in case that it cannot be packed.
            MaxReceiveMessageBytes = 32 * 1024 * 1024,
        });

    /// <summary>Makes a new connection: the old one may be dead without knowing it.</summary>
    private void Redial()
    {
        _channel.Dispose();
        _channel = Connect(_address);
    }

    /// <summary>
    /// Finds where this session's lanes may be: at the address that has just answered, unless the destination names a host, which may have
    /// several.
    /// </summary>
    private async Task<IReadOnlyList<IPEndPoint>> LanesOfAsync(string lanes, CancellationToken cancellationToken)
    {
        if (!HostAndPort.TrySplit(lanes, out HostAndPort? named) || named.Port == 0
            || (named.Host.Length > 0 && !HostAndPort.TryParse(lanes, out _)))
        {
            throw new Refusal(
                Because.Failed, $"the destination {_address} says its lanes are at '{lanes}', which is no HOST:PORT");
        }

        // The host that was dialled may have addresses where nothing listens, or where another daemon does.
        IPAddress[] addresses = named.Host.Length > 0
            ? await Dns.GetHostAddressesAsync(named.Host, cancellationToken).ConfigureAwait(false)
            : [_channel.ReachedAddress ?? throw new Refusal(Because.Unreachable, $"the connection to {_address} is closed")];
        IPAddress[] allowed = [.. addresses.Where(address => _security.RefusePlaintext(address) is null)];
        return allowed.Length > 0
            ? [.. allowed.Select(address => new IPEndPoint(address, named.Port))]
            : throw new Refusal(
                Because.Untrusted, $"the lanes of {_address} are not opened: {_security.RefusePlaintext(addresses[0])}");
    }

    /// <summary>Opens lanes on a thread of their own.</summary>
    private async Task<SourceLanes> DialLanesAsync(IReadOnlyList<IPEndPoint> lanes, Func<IPEndPoint, LaneOptions, SourceLanes> open)
    {
        try
        {
            LaneOptions options = new LaneOptions { HandshakeTimeout = _timeouts.Link, Tls = _security.Outgoing(_address) }
                .WithSilence(_timeouts.Link);
            return await DedicatedThread.Start("dial lanes", () => OpenAtFirstThatAnswers(lanes, address => open(address, options)))
                .ConfigureAwait(false);
        }
        catch (LaneException error)
        {
            throw new Refusal(
                Because.Unreachable,
                $"the lanes of {_address} cannot be opened: {error.Message}; look at that daemon's --lanes",
                error);
        }
    }

    private static SourceLanes OpenAtFirstThatAnswers(IReadOnlyList<IPEndPoint> lanes, Func<IPEndPoint, SourceLanes> open)
    {
        foreach (IPEndPoint address in lanes.SkipLast(1))
        {
            try
            {
                return open(address);
            }
            catch (LaneException)
            {
                // The next one may answer; why the last one does not is said.
            }
        }

        return open(lanes[^1]);
    }
}
