using System.Net;
using System.Security.Cryptography.X509Certificates;
using MigrationD.Daemon.Options;
using MigrationD.Daemon.Security.Certificates;
using MigrationD.Protocol.Calls;

namespace MigrationD.Daemon.Security;

/// <summary>
/// Says who may send guests here and who may receive them from here, and makes sure of that. Certificates and lists can be exchanged while
/// connections are open: later connections meet the new ones.
/// </summary>
internal sealed class PeerSecurity
{
    private readonly bool _plaintextAllowed;
    private volatile Rules _rules;

    private PeerSecurity(bool plaintextAllowed, Rules rules)
    {
        _plaintextAllowed = plaintextAllowed;
        _rules = rules;
    }

    /// <summary>The security of a daemon that talks to itself: no TLS.</summary>
    public static PeerSecurity None { get; } = new(true, new Rules(null, Everybody, Everybody, null));

    /// <summary>Whether peers are authenticated.</summary>
    public bool IsOn => _rules.Identity is not null;

    /// <summary>When this node's certificate ends; null without TLS.</summary>
    public DateTime? ExpiresAt => _rules.Identity?.ExpiresAt;

    /// <summary>The TLS of those who bring lanes now: senders. Null without TLS.</summary>
    public PeerTls? IncomingLanes => Incoming(RefuseSender);

    /// <summary>The TLS of those who make calls now: senders, and those who may only read. Null without TLS.</summary>
    public PeerTls? IncomingCalls => Incoming(RefuseCaller);

    public static PeerSecurity Of(DaemonOptions options) => new(options.Insecure, RulesOf(options));

    /// <summary>Takes over what the options say now; false, and nothing has changed, when they switch TLS on or off.</summary>
    public bool TryReload(DaemonOptions options)
    {
        if (options.Identity is null != _rules.Identity is null)
        {
            return false;
        }

        _rules = RulesOf(options);
        return true;
    }

    /// <summary>
    /// The TLS for dialling a daemon now; null without TLS. Its certificate has to be for the host of its control address (HOST:PORT),
    /// wherever the daemon says that its lanes are.
    /// </summary>
    public PeerTls? Outgoing(string address)
    {
        string host = HostAndPort.TryParse(address, out HostAndPort? dialled) ? dialled.Host : address;
        return _rules.Identity is { } identity
            ? new PeerTls { Certificate = identity.Client, PeerPolicy = identity.Policy, RefusePeer = shown => RefuseReceiver(shown, host) }
            : null;
    }

    /// <summary>Why guests may not be taken from this peer, or null. Asked for each guest, as connections may be old.</summary>
    public string? RefuseSender(X509Certificate2 certificate) => _rules.Senders.Refuse(certificate);

    /// <summary>Why a connection without TLS to this address is refused, or null.</summary>
    public string? RefusePlaintext(IPAddress address) => IsOn || _plaintextAllowed || IPAddress.IsLoopback(address)
        ? null
        : $"{address} is not this host, and nothing would authenticate it or hide the guest's memory on the way; give this daemon "
            + $"certificates ({DaemonOptionKey.Tls.Flag}), or {DaemonOptionKey.Insecure.Flag} on a network that you trust";

    // A reader is refused as no sender, unless the node has readers at all.
    private string? RefuseCaller(X509Certificate2 certificate) =>
        RefuseSender(certificate) is not { } why ? null
        : _rules.Readers is { } readers ? readers.Refuse(certificate) is { } andWhy ? $"{why}, and {andWhy}" : null
        : why;

    private PeerTls? Incoming(Func<X509Certificate2, string?> refuse) => _rules.Identity is { } identity
        ? new PeerTls { Certificate = identity.Server, PeerPolicy = identity.Policy, RefusePeer = refuse }
        : null;

    private string? RefuseReceiver(X509Certificate2 certificate, string host) =>
        certificate.MatchesHostname(host, allowWildcards: true, allowCommonName: false)
            ? _rules.Receivers.Refuse(certificate)
            : $"it is not for {host}, which was dialled, but for {string.Join(", ", PeerList.Names(certificate))}; dial it by such a name, "
                + $"or issue it with --host {host}";

    private static Rules RulesOf(DaemonOptions options) => new(
        options.Identity,
        new PeerList(options.AllowSenders, DaemonOptionKey.AllowSenders.Flag),
        new PeerList(options.AllowReceivers, DaemonOptionKey.AllowReceivers.Flag),
        options.AllowReaders.Count == 0 ? null : new PeerList(options.AllowReaders, DaemonOptionKey.AllowReaders.Flag));

    private static PeerList Everybody => new([], "");

    private sealed record Rules(NodeIdentity? Identity, PeerList Senders, PeerList Receivers, PeerList? Readers);
}
