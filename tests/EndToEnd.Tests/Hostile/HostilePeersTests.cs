using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.Refusals;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests.Hostile;

/// <summary>
/// Strangers at the doors of a daemon: they are let down one by one, hold little while they are there, leave nothing behind, and neither the
/// guests nor whoever has business with the daemon notices.
/// </summary>
/// <remarks>
/// <c>MIGRATIOND_HOSTILE_INPUTS</c> is how many inputs are tried, <c>MIGRATIOND_HOSTILE_SEED</c> repeats the inputs of a run.
/// </remarks>
public sealed class HostilePeersTests(ITestOutputHelper output)
{
    private const Needs Host = Needs.Userfaultfd | Needs.Kvm;
    private const int DefaultInputs = 20_000;
    private const int Strangers = 8;

    // What a daemon that has been warmed up may grow by: heaps are given back when the collector likes.
    private const int MostThreads = 32;

    // Beside twenty thousand inputs, of which each that leaked would leave one, the runtime's own come and go.
    private const int MostDescriptors = 16;
    private const int MostMiB = 128;

    // A daemon waits 10 s for a beginning, and 30 s for one at the control listener.
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    // Of all inputs together, however many they are.
    private static readonly TimeSpan AttackDeadline = TimeSpan.FromHours(1);

    [MachineFact(Host)]
    public async Task Strangers_harm_nobody()
    {
        int seed = Read("MIGRATIOND_HOSTILE_SEED") ?? Random.Shared.Next(1_000_000_000);
        int inputs = Read("MIGRATIOND_HOSTILE_INPUTS") ?? DefaultInputs;
        // What strangers have prepared, and open no lanes for, is forgotten after four of them.
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon", ["--link-timeout", "10s", .. DaemonProcess.Readable]);
        await using DaemonProcess other = await DaemonProcess.StartAsync("other");
        await daemon.CreateGuestAsync("g", "kvm", "32MiB", "16MiB");
        await daemon.MigrateAsync("g", other);
        await other.MigrateAsync("g", daemon);
        await AttackAsync(daemon, seed, 0, inputs / 5);
        Footprint before = Footprint.Of(daemon);
        int lines = daemon.Log.Count(character => character == '\n');
        var clock = System.Diagnostics.Stopwatch.StartNew();

        await AttackAsync(daemon, seed, inputs / 5, inputs);

        TimeSpan took = clock.Elapsed;
        lines = daemon.Log.Count(character => character == '\n') - lines;
        Footprint after = await Footprint.SettledAsync(daemon, before, MostThreads, MostDescriptors, MostMiB);
        output.WriteLine(
            $"Figure: hostile inputs, {inputs} from seed {seed} in {Enum.GetValues<Attack>().Length} kinds at 4 doors: {lines} lines logged, "
            + $"{before} before, {after} after; guests harmed 0");
        // At most 50 lines and a summary of each of three sources in 10 s, and what happened to sessions.
        Assert.InRange(lines, 1, (3 * 51 * (1 + (took.TotalSeconds / 10))) + (inputs / 10.0));
        Assert.DoesNotContain("Unhandled", daemon.Log, StringComparison.Ordinal);
        await daemon.GuestIsWellAsync("g");
        await daemon.MigrateAsync("g", other);
        await other.GuestIsWellAsync("g");
    }

    [MachineFact(Host)]
    public async Task A_flood_of_connections_is_held_to_the_limit()
    {
        const int Limit = 24;
        const int Flood = 300;
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon", "--max-connections", $"{Limit}");
        await using DaemonProcess other = await DaemonProcess.StartAsync("other");
        await daemon.CreateGuestAsync("g", "kvm", "32MiB", "16MiB");
        await daemon.MigrateAsync("g", other);
        await other.MigrateAsync("g", daemon);
        Footprint before = Footprint.Of(daemon);
        var flood = new List<Socket>();
        try
        {
            foreach (EndPoint door in Doors(daemon).Take(2))
            {
                for (int i = 0; i < Flood; i++)
                {
                    Socket socket = Connect(door);
                    flood.Add(socket);
                    // A third says nothing, a third begins and stops, a third has a call that does not go on.
                    byte[] beginning = (i % 3) switch
                    {
                        0 => [],
                        1 => Http2Bytes.Preface[..10],
                        _ => [.. Http2Bytes.Opening(), .. Http2Bytes.Request(1, "/migrationd.v1.Transport/Prepare")],
                    };
                    TrySend(socket, beginning);
                }
            }

            // The daemon takes a connection from the kernel before it closes it: only those of the limit are left then.
            await Task.WhenAll(flood.Chunk(Flood).Select(door => ClosedAsync(door, Flood - Limit)));
            Footprint during = await Footprint.SettledAsync(daemon, before, Limit + MostThreads, (2 * Limit) + MostDescriptors, MostMiB);
            output.WriteLine($"Figure: connection flood, {flood.Count} connections, limit {Limit} a door: {before} before, {during} during");

            // Operators come in by their own door, and the guest does not notice.
            await daemon.GuestIsWellAsync("g");

            // Whoever holds a connection and says nothing does not hold it for long: all are closed by the daemon, not by this test.
            foreach (Socket socket in flood)
            {
                Drain(socket);
            }
        }
        finally
        {
            flood.ForEach(socket => socket.Dispose());
        }

        await Footprint.SettledAsync(daemon, before, MostThreads, MostDescriptors, MostMiB);
        await daemon.MigrateAsync("g", other);
        await other.MigrateAsync("g", daemon);
        await daemon.GuestIsWellAsync("g");
    }

    [MachineFact(Host)]
    public async Task A_slow_client_is_cut_off()
    {
        const int Clients = 20;
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon");
        await daemon.CreateGuestAsync("g", "workload", "16MiB", "4MiB", vcpus: 1);
        // A byte now and then, for ever: each door gives it so long for its beginning, and no longer.
        byte[] call = [.. Http2Bytes.Opening(), .. Http2Bytes.Request(1, "/migrationd.v1.Transport/Prepare", ("a", new string('x', 8000)))];
        await Task.WhenAll(Doors(daemon).Take(2).SelectMany(door => Enumerable.Range(0, Clients).Select(_ => Task.Run(async () =>
        {
            using Socket socket = Connect(door);
            var clock = System.Diagnostics.Stopwatch.StartNew();
            int sent = 0;
            while (TrySend(socket, call.AsSpan(sent++ % call.Length, 1)) && !(socket.Poll(0, SelectMode.SelectRead) && IsClosed(socket)))
            {
                Assert.True(clock.Elapsed < Deadline, $"{door} still listens to a client that sends a byte now and then, after {sent} bytes");
                await Task.Delay(50);
            }

            return clock.Elapsed;
        }))));
        output.WriteLine($"Figure: slow clients cut off, {2 * Clients} of {2 * Clients}");
        await daemon.GuestIsWellAsync("g");
    }

    [MachineFact(Host)]
    public async Task More_guests_than_the_limit_are_refused()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon", "--max-incoming", "3");
        using CallChannel channel = CallChannel.Connect(daemon.Listen);
        var refused = new List<Refusal>();
        for (int i = 0; i < 20; i++)
        {
            try
            {
                await channel.Transport().PrepareAsync(Requests.Prepare($"g{i}", $"m{i}"));
            }
            catch (Refusal refusal)
            {
                refused.Add(refusal);
            }
        }

        Assert.Equal(17, refused.Count);
        Assert.All(refused, refusal =>
        {
            Assert.Equal(Because.Busy, refusal.Why);
            Assert.Contains("--max-incoming", refusal.Message, StringComparison.Ordinal);
        });
    }

    private async Task AttackAsync(DaemonProcess daemon, int seed, int from, int to)
    {
        EndPoint[] doors = Doors(daemon);
        var numbers = new ConcurrentQueue<int>(Enumerable.Range(from, to - from));
        await Task.WhenAll(Enumerable.Range(0, Strangers).Select(_ => Task.Factory.StartNew(
            () =>
            {
                while (numbers.TryDequeue(out int number))
                {
                    var random = new Random(unchecked((seed * 31) + number));
                    Attack[] attacks = Enum.GetValues<Attack>();
                    Attack attack = attacks[random.Next(attacks.Length)];
                    EndPoint door = doors[random.Next(doors.Length)];
                    try
                    {
                        Try(door, AttackBytes.Of(attack, random));
                    }
                    catch (Exception error)
                    {
                        throw new InvalidOperationException($"input {number} of seed {seed}, {attack} at {door}: {error.Message}", error);
                    }
                }
            },
            TaskCreationOptions.LongRunning))).WaitAsync(AttackDeadline);
    }

    private static EndPoint[] Doors(DaemonProcess daemon) =>
    [
        IPEndPoint.Parse(daemon.Listen), IPEndPoint.Parse(daemon.Lanes), new UnixDomainSocketEndPoint(daemon.Control),
        .. daemon.Web.Length > 0 ? [IPEndPoint.Parse(daemon.Web)] : Array.Empty<EndPoint>(),
    ];

    /// <summary>Sends, says that no more comes, and waits until the daemon has closed.</summary>
    private static void Try(EndPoint door, byte[] bytes)
    {
        using Socket socket = Connect(door);
        TrySend(socket, bytes);
        try
        {
            socket.Shutdown(SocketShutdown.Send);
        }
        catch (SocketException)
        {
            // It has closed already.
        }

        Drain(socket);
    }

    private static Socket Connect(EndPoint door)
    {
        var socket = new Socket(door.AddressFamily, SocketType.Stream, ProtocolType.Unspecified)
        {
            ReceiveTimeout = (int)Deadline.TotalMilliseconds,
        };
        try
        {
            socket.Connect(door);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Whether the other side still takes what is sent.</summary>
    private static bool TrySend(Socket socket, ReadOnlySpan<byte> bytes)
    {
        try
        {
            while (!bytes.IsEmpty)
            {
                bytes = bytes[socket.Send(bytes)..];
            }

            return true;
        }
        catch (SocketException error) when (
            error.SocketErrorCode is SocketError.ConnectionReset or SocketError.ConnectionAborted or SocketError.Shutdown or SocketError.TimedOut)
        {
            // It has heard enough. "Timed out", where no timeout is set, is what a send is called that the close cut short.
            return false;
        }
    }

    /// <summary>Reads until the daemon has closed.</summary>
    /// <exception cref="SocketException">It has not within the deadline.</exception>
    private static void Drain(Socket socket)
    {
        while (!IsClosed(socket))
        {
        }
    }

    /// <summary>Reads what is there, once; whether that was the end.</summary>
    private static bool IsClosed(Socket socket)
    {
        try
        {
            return socket.Receive(stackalloc byte[8192]) == 0;
        }
        catch (SocketException error) when (error.SocketErrorCode == SocketError.ConnectionReset)
        {
            return true;
        }
    }

    /// <summary>Waits until the daemon has closed so many of these connections, on which nothing is read.</summary>
    private static async Task ClosedAsync(Socket[] sockets, int count)
    {
        var clock = System.Diagnostics.Stopwatch.StartNew();
        while (sockets.Count(HasEnded) < count)
        {
            Assert.True(clock.Elapsed < Deadline, $"{sockets.Count(HasEnded)} of {count} connections too many are closed");
            await Task.Delay(20);
        }
    }

    /// <summary>Whether the daemon has closed or reset a connection, as its end or its error is readable and what it said is not.</summary>
    private static bool HasEnded(Socket socket)
    {
        try
        {
            return socket.Poll(0, SelectMode.SelectRead) && socket.Receive(stackalloc byte[1], SocketFlags.Peek) == 0;
        }
        catch (SocketException error) when (error.SocketErrorCode == SocketError.ConnectionReset)
        {
            return true;
        }
    }

    private static int? Read(string variable) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : null;
}
