using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net.Sockets;

namespace MigrationD.Protocol.Calls;

/// <summary>An address as it is written: HOST:PORT, where HOST is a name, an IPv4 address or an IPv6 address in brackets.</summary>
/// <param name="Host">The host, an IPv6 address without its brackets.</param>
/// <param name="Port">0 to 65535.</param>
public sealed record HostAndPort(string Host, int Port)
{
    /// <summary>
    /// Takes HOST:PORT apart, and no more: the host may be missing or be no host's name, and the port may be 0. What is in brackets is an
    /// IPv6 address, and an IPv6 address is in brackets.
    /// </summary>
    public static bool TrySplit(string text, [NotNullWhen(true)] out HostAndPort? address)
    {
        address = null;
        int colon = text.LastIndexOf(':');
        if (colon < 0 || !ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out ushort port))
        {
            return false;
        }

        string host = text[..colon];
        bool bracketed = host is ['[', .., ']'];
        string bare = bracketed ? host[1..^1] : host;

        // Parsers of addresses take off brackets of their own, and what follows them.
        if (bare.AsSpan().ContainsAny('[', ']', '/') || bracketed != bare.Contains(':') || (bracketed && !IsIPv6(bare)))
        {
            return false;
        }

        address = new HostAndPort(bare, port);
        return true;
    }

    /// <summary>Reads an address that can be dialled: one with a host and a port that is not 0.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out HostAndPort? address)
    {
        bool canBeDialled = TrySplit(text, out address) && address.Port != 0 && IsHost(address.Host);
        address = canBeDialled ? address : null;
        return canBeDialled;
    }

    /// <summary>HOST:PORT again, an IPv6 address in brackets.</summary>
    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{(Host.Contains(':') ? $"[{Host}]" : Host)}:{Port}");

    private static bool IsHost(string bare) =>
        Uri.CheckHostName(bare) is UriHostNameType.Dns or UriHostNameType.IPv4 or UriHostNameType.IPv6;

    private static bool IsIPv6(string bare) =>
        IPAddress.TryParse(bare, out IPAddress? address) && address.AddressFamily == AddressFamily.InterNetworkV6;
}
