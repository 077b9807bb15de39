using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace MigrationD.EndToEnd.Tests.Hostile;

/// <summary>
/// The listener for readers holds no more than its limits, whoever connects there, and does not keep a daemon that stops; the one for other
/// daemons sends readers away.
/// </summary>
public sealed class ReaderStrangersTests
{
    private const string Get = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    // Answers fill what the system holds for either side before anybody notices that they are not taken.
    private static readonly TimeSpan PatienceWithTheKernel = TimeSpan.FromMinutes(3);

    [Fact]
    public async Task Its_connections_count_against_the_limit()
    {
        const int Limit = 8;
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon", [.. DaemonProcess.Readable, "--max-connections", $"{Limit}"]);
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
    public async Task A_connection_that_does_not_go_on_is_closed()
    {
        (string Beginning, string Answer)[] all =
        [
            ("", ""), ("G", "HTTP/1.1 408"), ("GET /metrics HTTP/1.1\r\nHost: loc", "HTTP/1.1 408"), (Get, "HTTP/1.1 200"),
            // What is read has no body; one that is announced is not waited for.
            ("GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n", "HTTP/1.1 200"),
        ];
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon", DaemonProcess.Readable);
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
    public async Task What_is_wrong_is_refused(string request, string status)
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon", DaemonProcess.Readable);
        using Socket socket = Connect(daemon);
        TrySend(socket, request.Replace("64KiB", new string('x', 64 << 10), StringComparison.Ordinal));
        Assert.StartsWith($"HTTP/1.1 {status}", ReadSome(socket), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Who_asks_and_does_not_read_is_cut_off()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon", DaemonProcess.Readable);
        using Socket socket = Connect(daemon);
        // It asks, takes no answer, and is blocked before long; until the daemon ends the connection, or the deadline is over.
        byte[] requests = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat(Get, 1000)));
        Task asking = Task.Factory.StartNew(Ask, TaskCreationOptions.LongRunning);
        // Nobody else waits for what it does not take.
        using var http = new HttpClient { Timeout = Deadline };
        while (!asking.IsCompleted)
        {
            Assert.Contains("migrationd_info", await http.GetStringAsync(new Uri($"http://{daemon.Web}/metrics")), StringComparison.Ordinal);
            await Task.WhenAny(asking, Task.Delay(100));
        }

        _ = await Assert.ThrowsAsync<SocketException>(() => asking.WaitAsync(PatienceWithTheKernel));
        (await daemon.CliAsync("health")).Succeeds();

        void Ask()
        {
            while (true)
            {
                socket.Send(requests);
            }
        }
    }

    [Fact]
    public async Task Without_TLS_HTTP_2_is_not_spoken_to_readers_nor_HTTP_1_1_to_daemons()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon", DaemonProcess.Readable);
        using Socket reader = Connect(daemon);
        Assert.Equal(Http2Bytes.Preface.Length, reader.Send(Http2Bytes.Preface));
        // A frame of 8 bytes, GOAWAY, on the connection's stream: no stream was begun, and the reason is HTTP_1_1_REQUIRED (RFC 9113).
        byte[] goodbye = new byte[17];
        using var answers = new NetworkStream(reader);
        await answers.ReadExactlyAsync(goodbye);
        Assert.Equal("000008" + "07" + "00" + "00000000" + "00000000" + "0000000D", Convert.ToHexString(goodbye));

        using Socket lost = Connect(daemon.Listen);
        Send(lost, Get);
        string answer = ReadToEnd(lost);
        Assert.StartsWith("HTTP/1.1 400", answer, StringComparison.Ordinal);
        Assert.EndsWith("An HTTP/1.x request was sent to an HTTP/2 only endpoint.", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_daemon_that_stops_does_not_wait_for_it()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon", DaemonProcess.Readable);
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

    private static Socket Connect(DaemonProcess daemon) => Connect(daemon.Web);

    private static Socket Connect(string address)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = (int)Deadline.TotalMilliseconds };
        socket.Connect(IPEndPoint.Parse(address));
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
