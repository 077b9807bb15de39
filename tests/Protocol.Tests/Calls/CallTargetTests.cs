using System.Net;
using System.Net.Sockets;
using MigrationD.Protocol.Calls;

namespace MigrationD.Protocol.Tests.Calls;

public sealed class CallTargetTests
{
    [Theory]
    [InlineData("127.0.0.1:7000", "127.0.0.1", 7000, "127.0.0.1:7000")]
    [InlineData("host-b.lan:1", "host-b.lan", 1, "host-b.lan:1")]
    [InlineData("[::1]:65535", "::1", 65535, "[::1]:65535")]
    public void Host_and_port_are_read(string target, string host, int port, string authority)
    {
        CallTarget parsed = CallTarget.Parse(target);
        var endPoint = Assert.IsType<DnsEndPoint>(parsed.EndPoint);
        Assert.Equal((host, port, authority), (endPoint.Host, endPoint.Port, parsed.Authority));
    }

    [Theory]
    [InlineData("unix:/run/migrationd/control.sock")]
    [InlineData("unix:///run/migrationd/control.sock")]
    public void Unix_socket_is_read(string target)
    {
        var endPoint = Assert.IsType<UnixDomainSocketEndPoint>(CallTarget.Parse(target).EndPoint);
        Assert.Equal("/run/migrationd/control.sock", endPoint.ToString());
    }

    [Theory]
    [InlineData("")]
    [InlineData("host")]
    [InlineData(":7000")]
    [InlineData("host:")]
    [InlineData("host:0")]
    [InlineData("host:65536")]
    [InlineData("host:-1")]
    [InlineData("host:+1")]
    [InlineData("host:99999999999")]
    [InlineData("::1:7000")]
    [InlineData("[host]:7000")]
    [InlineData("[]:7000")]
    [InlineData("a b:7000")]
    [InlineData("http://host:7000")]
    [InlineData("user@host:7000")]
    [InlineData("unix:relative.sock")]
    [InlineData("unix:")]
    [InlineData("unix:/a-path-that-is-longer-than-the-107-bytes-that-a-unix-socket-address-has-room-for/and-so-on/and-so-on/control.sock")]
    public void Anything_else_is_refused_by_name(string target)
    {
        FormatException error = Assert.Throws<FormatException>(() => CallChannel.Connect(target));
        Assert.Contains($"'{target}'", error.Message, StringComparison.Ordinal);
    }
}
