using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace MigrationD.Daemon.Control;

/// <summary>An address as operators write it: HOST:PORT, where HOST is a name, an IPv4 address or an IPv6 address in brackets.</summary>
internal sealed record HostAndPort(string Host, int Port)
{
    public static bool TryParse(string text, [NotNullWhen(true)] out HostAndPort? address)
    {
        address = null;
        int colon = text.LastIndexOf(':');
        if (colon <= 0
            || !ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out ushort port)
            || port == 0)
        {
            return false;
        }

        string host = text[..colon];
        bool bracketed = host is ['[', .., ']'];
        string bare = bracketed ? host[1..^1] : host;
        UriHostNameType kind = Uri.CheckHostName(bare);
        if (bracketed ? kind != UriHostNameType.IPv6 : kind is not (UriHostNameType.Dns or UriHostNameType.IPv4))
        {
            return false;
        }

        address = new HostAndPort(bare, port);
        return true;
    }
}
