using System.Diagnostics;
using System.Net.Sockets;
using MigrationD.Daemon.Hosting.Doors;

namespace MigrationD.Daemon.Tests.Hosting.Doors;

/// <summary>What may lie where a daemon wants its control socket.</summary>
public sealed class ControlSocketTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private string SocketPath => _folder.PathOf("control.sock");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_socket_of_a_daemon_that_died_is_taken()
    {
        Listen("other.sock", socket =>
        {
            // Its owner removes the name that it was bound to, as a killed daemon does not.
            File.Move(_folder.PathOf("other.sock"), SocketPath);
        });
        Assert.True(File.Exists(SocketPath));

        using ControlSocket claimed = ControlSocket.Claim(SocketPath);
        Assert.False(File.Exists(SocketPath));
    }

    [Fact]
    public void The_socket_of_a_daemon_that_lives_is_refused() => Listen("control.sock", _ => Refused("a daemon listens there already"));

    [Theory]
    [InlineData("")]
    [InlineData("somebody's")]
    public void A_file_is_refused_and_kept(string content)
    {
        _folder.Write("control.sock", content);
        Refused("what is there cannot be used");
        Assert.Equal(content, File.ReadAllText(SocketPath));
    }

    [Fact]
    public void A_pipe_is_refused_and_not_waited_for()
    {
        using Process made = Process.Start("mkfifo", SocketPath);
        made.WaitForExit();
        Refused("what is there cannot be used");
        Assert.True(File.Exists(SocketPath));
    }

    private void Refused(string why) =>
        Assert.Contains(why, Assert.Throws<IOException>(() => ControlSocket.Claim(SocketPath)).Message, StringComparison.Ordinal);

    private void Listen(string name, Action<Socket> meanwhile)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(_folder.PathOf(name)));
        socket.Listen();
        meanwhile(socket);
    }
}
