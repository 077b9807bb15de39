using System.Net.Sockets;
using System.Text;

namespace MigrationD.Protocol.Calls;

/// <summary>Where a channel connects to: <c>unix:/path</c>, <c>HOST:PORT</c> or <c>[::1]:PORT</c>.</summary>
/// <param name="Name">The target as it was given, for errors.</param>
/// <param name="Authority">What goes into HTTP/2's <c>:authority</c>.</param>
/// <param name="EndPoint">What a socket connects to.</param>
internal sealed record CallTarget(string Name, string Authority, EndPoint EndPoint)
{
    private const string UnixScheme = "unix:";

    // sun_path of unix(7) has 108 bytes, the last of them for the terminating zero.
    private const int MaxUnixPathBytes = 107;

    /// <summary>The host's name or address without its port; what a peer's certificate is asked for.</summary>
    public string Host => EndPoint is DnsEndPoint { Host: var host } ? host : "localhost";

    /// <summary>Reads a target.</summary>
    /// <exception cref="FormatException">It is none; the message says what it should look like.</exception>
    public static CallTarget Parse(string text) =>
        text.StartsWith(UnixScheme, StringComparison.Ordinal) ? ParseUnix(text)
        : HostAndPort.TryParse(text, out HostAndPort? address)
            ? new CallTarget(text, address.ToString(), new DnsEndPoint(address.Host, address.Port))
        : throw Malformed(text, $"it is no name, IPv4 address or IPv6 address in brackets with a port from 1 to {IPEndPoint.MaxPort}");

    private static CallTarget ParseUnix(string text)
    {
        string path = text[UnixScheme.Length..];
        if (path.StartsWith("//", StringComparison.Ordinal))
        {
            path = path[2..];
        }

        if (!path.StartsWith('/'))
        {
            throw Malformed(text, "the path of a unix socket must be absolute");
        }

        if (Encoding.UTF8.GetByteCount(path) > MaxUnixPathBytes)
        {
            throw Malformed(text, $"the path of a unix socket has at most {MaxUnixPathBytes} bytes");
        }

        return new CallTarget(text, "localhost", new UnixDomainSocketEndPoint(path));
    }

    private static FormatException Malformed(string text, string reason) =>
        new($"'{text}' is no address to connect to: {reason}. Write unix:/path/to/socket, HOST:PORT or [IPV6]:PORT.");
}
