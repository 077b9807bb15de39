using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace MigrationD.EndToEnd.Tests.Hostile;

/// <summary>
/// The server for HTTP/1.1 that browsers and scrapers reach at the listener for daemons is no way around the limits of that listener,
/// and does not keep a daemon that stops.
/// </summary>
public sealed class Http1StrangersTests
{
    private const string Get = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task ItsConnectionsCountAgainstTheLimit()
    {
        const int Limit = 8;
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon", "--max-connections", $"{Limit}");
        var held = new List<Socket>();
        try
        {
            for (int i = 0; i < Limit; i++)
            {
                held.Add(Connect(daemon));
                Send(held[^1], Get);
                Assert.StartsWith("HTTP/1.1 200 OK\r\n", ReadSome(held[^1]), StringComparison.Ordinal);
            }

            using Socket tooMany = Connect(daemon);
            // It is closed, whether it has been read or not.
            TrySend(tooMany, Get);
            Assert.Equal("", ReadToEnd(tooMany));

            held[0].Dispose();
            var clock = Stopwatch.StartNew();
            while (true)
            {
                using Socket next = Connect(daemon);
                if (TrySend(next, Get) && ReadSome(next).StartsWith("HTTP/1.1 200", StringComparison.Ordinal))
                {
                    break;
                }

                Assert.True(clock.Elapsed < Deadline, "the place of a connection that was closed is not given to another");
                await Task.Delay(20);
            }
        }
        finally
        {
            held.ForEach(socket => socket.Dispose());
        }
    }

    [Fact]
    public async Task AConnectionThatDoesNotGoOnIsClosed()
    {
        (string Beginning, string Answer)[] all =
        [
            ("", ""), ("G", "HTTP/1.1 408"), ("GET /metrics HTTP/1.1\r\nHost: loc", "HTTP/1.1 408"), (Get, "HTTP/1.1 200"),
            // What is read has no body; one that is announced is not waited for.
            ("GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n", "HTTP/1.1 200"),
        ];
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon");
        Socket[] sockets = [.. all.Select(_ => Connect(daemon))];
        try
        {
            foreach ((Socket socket, (string beginning, _)) in sockets.Zip(all))
            {
                Send(socket, beginning);
            }

            foreach ((Socket socket, (string beginning, string expected)) in sockets.Zip(all))
            {
                // Until the daemon has closed; within the socket's deadline, or it throws.
                string answer = ReadToEnd(socket);
                Assert.True(
                    answer.StartsWith(expected, StringComparison.Ordinal) && (answer.Length == 0) == (expected.Length == 0),
                    $"'{beginning}' was answered with '{answer}'");
            }
        }
        finally
        {
            Array.ForEach(sockets, socket => socket.Dispose());
        }
    }

    [Theory]
    [InlineData("GET /metrics HTTP/1.1\r\n\r\n", "400")]
    [InlineData("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", "404")]
    [InlineData("GET /migrationd.v1.Transport/Prepare HTTP/1.1\r\nHost: localhost\r\n\r\n", "404")]
    [InlineData("GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: 64KiB\r\n\r\n", "431")]
    public async Task WhatIsWrongIsRefused(string request, string status)
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon");
        using Socket socket = Connect(daemon);
        TrySend(socket, request.Replace("64KiB", new string('x', 64 << 10), StringComparison.Ordinal));
        Assert.StartsWith($"HTTP/1.1 {status}", ReadSome(socket), StringComparison.Ordinal);
    }

    [Fact]
    public async Task ADaemonThatStopsDoesNotWaitForIt()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon");
        using Socket silent = Connect(daemon);
        using Socket half = Connect(daemon);
        using Socket idle = Connect(daemon);
        Send(half, "GET /met");
        Send(idle, Get);
        Assert.StartsWith("HTTP/1.1 200 OK\r\n", ReadSome(idle), StringComparison.Ordinal);

        // Within the deadline of the exit, or it throws.
        Assert.Equal(0, await daemon.StopAsync());
        Assert.DoesNotContain("Unhandled", daemon.Log, StringComparison.Ordinal);
    }

    private static Socket Connect(DaemonProcess daemon)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = (int)Deadline.TotalMilliseconds };
        socket.Connect(IPEndPoint.Parse(daemon.Listen));
        return socket;
    }

    private static void Send(Socket socket, string text) => Assert.True(TrySend(socket, text));

    private static bool TrySend(Socket socket, string text)
    {
        try
        {
            return socket.Send(Encoding.ASCII.GetBytes(text)) == text.Length;
        }
        catch (SocketException error) when (error.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown)
        {
            return false;
        }
    }

    private static string ReadSome(Socket socket)
    {
        byte[] buffer = new byte[64 << 10];
        try
        {
            return Encoding.UTF8.GetString(buffer, 0, socket.Receive(buffer));
        }
        catch (SocketException error) when (error.SocketErrorCode == SocketError.ConnectionReset)
        {
            return "";
        }
    }

    private static string ReadToEnd(Socket socket)
    {
        var text = new StringBuilder();
        while (ReadSome(socket) is { Length: > 0 } some)
        {
            text.Append(some);
        }

        return text.ToString();
    }
}
