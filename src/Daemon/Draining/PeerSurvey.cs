using MigrationD.Daemon.Security;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.V1;
using GuestKind = MigrationD.Guest.GuestKind;

namespace MigrationD.Daemon.Draining;

/// <summary>
/// Asks peers what they have room for, over connections that last as long as the survey does. Nothing is dialled before the first question.
/// </summary>
internal sealed class PeerSurvey(
    IEnumerable<string> addresses, string ownInstance, uint protocolVersion, TimeSpan deadline, PeerSecurity security, TimeProvider time)
    : IPeerSurvey, IDisposable
{
    // So that a host that is off does not cost a time-out before each guest; one that comes back is found soon enough.
    private static readonly TimeSpan SilenceKept = TimeSpan.FromSeconds(15);

    private readonly List<Peer> _peers =
        [.. addresses.Distinct(StringComparer.Ordinal).Select(address => new Peer(address, Connect(address, deadline, security)))];

    /// <summary>Reads what an answer leaves room for.</summary>
    public static PeerOffer Offer(PeerAnswer answer) => answer is { Problem: null, Capacity: { } capacity }
        ? new PeerOffer(
            answer.Address, null, Bytes(capacity.GuestMemoryBytes) - Bytes(capacity.GuestMemoryUsedBytes),
            (int)Math.Min(capacity.MaxIncoming, 1_000_000) - (int)Math.Min(capacity.Incoming, 1_000_000),
            [.. capacity.Kinds.Select(kind => (GuestKind)kind)])
        : PeerOffer.Unusable(answer.Address, answer.Problem ?? "it did not answer");

    public async Task<IReadOnlyList<PeerAnswer>> AskAsync(CancellationToken cancellationToken)
    {
        PeerAnswer[] answers = await Task.WhenAll(_peers.Select(peer => AskAsync(peer, cancellationToken))).ConfigureAwait(false);
        var known = new Dictionary<string, string>(StringComparer.Ordinal);
        for (int i = 0; i < answers.Length; i++)
        {
            if (answers[i] is { Capacity: { Instance.Length: > 0 } capacity } answer
                && !known.TryAdd(capacity.Instance, answer.Address))
            {
                // Counted twice, its memory would be given away twice.
                answers[i] = answer with { Problem = $"it is the same daemon as {known[capacity.Instance]}" };
            }
        }

        return answers;
    }

    public void Dispose()
    {
        foreach (Peer peer in _peers)
        {
            peer.Channel.Dispose();
        }
    }

    private static long Bytes(ulong count) => (long)Math.Min(count, long.MaxValue / 2);

    private static CallChannel Connect(string address, TimeSpan timeout, PeerSecurity security) => CallChannel.Connect(
        address,
        new CallChannelOptions
        {
            KeepAlive = timeout / 2,
            ConnectTimeout = timeout,
            Tls = security.Outgoing(address),
            RefuseAddress = security.RefusePlaintext,
        });

    private async Task<PeerAnswer> AskAsync(Peer peer, CancellationToken cancellationToken)
    {
        if (peer.Silence is { } before && time.GetElapsedTime(peer.SilentSince) < SilenceKept)
        {
            return before;
        }

        try
        {
            Capacity capacity = await new Transport.TransportClient(peer.Channel.Invoker).GetCapacityAsync(
                new GetCapacityRequest(), deadline: DateTime.UtcNow + deadline, cancellationToken: cancellationToken).ConfigureAwait(false);
            peer.Silence = null;
            return capacity.Instance == ownInstance
                ? new PeerAnswer(peer.Address, capacity, "it is this node itself", IsSelf: true)
                : new PeerAnswer(peer.Address, capacity, Problem(capacity));
        }
        catch (Refusal error)
        {
            peer.SilentSince = time.GetTimestamp();
            return peer.Silence = new PeerAnswer(peer.Address, null, error.Why == Because.NotSupported
                ? "it is of a version that does not say what it has room for; upgrade it, or move guests there with 'migrationd migrate'"
                : $"it does not say what it has room for: {error.Message}");
        }
    }

    private string? Problem(Capacity capacity) =>
        capacity.Refusal.Length > 0 ? capacity.Refusal
        : !capacity.ProtocolVersions.Contains(protocolVersion)
            ? $"it speaks protocol version {string.Join(" and ", capacity.ProtocolVersions)}, and this takes version {protocolVersion}; "
                + "upgrade the older of the two daemons"
        : null;

    private sealed class Peer(string address, CallChannel channel)
    {
        public string Address { get; } = address;

        public CallChannel Channel { get; } = channel;

        public PeerAnswer? Silence { get; set; }

        public long SilentSince { get; set; }
    }
}

/// <summary>What this node's peers have room for, as a drain asks for it.</summary>
internal interface IPeerSurvey
{
    /// <summary>Asks all peers at once; answers are in the order of peers, and one that is silent has an answer as well.</summary>
    Task<IReadOnlyList<PeerAnswer>> AskAsync(CancellationToken cancellationToken);
}

/// <summary>What a peer said of itself, or why it said nothing.</summary>
/// <param name="Address">HOST:PORT that was dialled.</param>
/// <param name="Capacity">Its answer; null without one.</param>
/// <param name="Problem">Why it can have no guests; null when it can.</param>
/// <param name="IsSelf">Whether it is the node that asks.</param>
internal sealed record PeerAnswer(string Address, Capacity? Capacity, string? Problem, bool IsSelf = false);

/// <summary>What a peer has room for.</summary>
/// <param name="Address">HOST:PORT of its control address.</param>
/// <param name="Problem">Why it can have no guest at all; null when it can.</param>
/// <param name="FreeBytes">Memory that it has free for guests; what is on its way there already is taken off.</param>
/// <param name="FreePlaces">How many more guests may be on their way there now.</param>
/// <param name="Kinds">What it can run.</param>
internal sealed record PeerOffer(string Address, string? Problem, long FreeBytes, int FreePlaces, IReadOnlyList<GuestKind> Kinds)
{
    public static PeerOffer Unusable(string address, string problem) => new(address, problem, 0, 0, []);

    /// <summary>What is left of the offer when guests are on their way there that it may not know of yet.</summary>
    public PeerOffer Less(long bytes, int places) => this with { FreeBytes = FreeBytes - bytes, FreePlaces = FreePlaces - places };
}
