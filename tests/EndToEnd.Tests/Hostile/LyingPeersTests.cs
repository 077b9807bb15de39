using System.Security.Cryptography;
using Google.Protobuf;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests.Hostile;

/// <summary>Peers that are let in, a session's secret in hand, and do not keep to what a session is.</summary>
public sealed class LyingPeersTests(ITestOutputHelper output)
{
    private const Needs Host = Needs.Userfaultfd | Needs.Kvm;
    private const int PageSize = 4096;

    // The guest of Requests.
    private const int Pages = 4096;

    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    [MachineFact(Host)]
    public async Task A_source_that_lies_loses_its_session_only()
    {
        const int Sessions = 400;
        const int MostMessages = 40;
        int seed = Random.Shared.Next(1_000_000_000);
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon");
        await daemon.CreateGuestAsync("other", "kvm", "32MiB", "16MiB");
        Footprint? before = null;
        int messages = 0;
        for (int session = 0; session < Sessions; session++)
        {
            var random = new Random(unchecked((seed * 31) + session));
            (LaneCall push, LaneCall urgent) = await OpenAsync(daemon, $"lie{seed}-{session}");
            try
            {
                for (int i = random.Next(MostMessages); i > 0; i--)
                {
                    messages++;
                    (random.Next(2) == 0 ? push : urgent).Write(Run(random));
                }

                if (random.Next(2) == 0)
                {
                    push.FinishWriting();
                    urgent.FinishWriting();
                }
                else
                {
                    (random.Next(2) == 0 ? push : urgent).Abort("no reason");
                }

                Drain(push);
            }
            catch (Exception error) when (error is Refusal or LaneException)
            {
                // The daemon has had enough, or this side has hung up.
            }
            finally
            {
                push.Dispose();
                urgent.Dispose();
            }

            await daemon.GoneAsync("g");
            before ??= session == Sessions / 5 ? Footprint.Of(daemon) : null;
        }

        Footprint after = await Footprint.SettledAsync(daemon, before!);
        output.WriteLine($"Figure: lying sources, {Sessions} sessions with {messages} messages from seed {seed}: {before} before, {after} after");
        await daemon.GuestIsWellAsync("other");
    }

    [MachineFact(Host)]
    public async Task A_source_that_lies_on_its_handover_lane_loses_its_session_only()
    {
        const int Sessions = 200;
        const int MostOrders = 12;
        int seed = Random.Shared.Next(1_000_000_000);
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon");
        await daemon.CreateGuestAsync("other", "kvm", "32MiB", "16MiB");
        Footprint? before = null;
        int orders = 0;
        for (int session = 0; session < Sessions; session++)
        {
            var random = new Random(unchecked((seed * 31) + session));
            PrepareResponse prepared = await PrepareAsync(daemon, $"order{seed}-{session}", random.Next(2) == 0);
            (LaneCall push, LaneCall urgent) = OpenLanes(daemon, prepared);
            using (push)
            using (urgent)
            using (LaneCall handover = daemon.OpenLane(prepared, PageLanePaths.Handover))
            {
                try
                {
                    for (int i = random.Next(MostOrders); i > 0; i--)
                    {
                        orders++;
                        handover.Write(Order(random));
                    }

                    if (random.Next(2) == 0)
                    {
                        handover.FinishWriting();
                    }
                    else
                    {
                        handover.Abort("no reason");
                    }

                    Drain(handover);
                }
                catch (Exception error) when (error is Refusal or LaneException)
                {
                    // The daemon has had enough, or this side has hung up.
                }
            }

            await daemon.GoneAsync("g");
            before ??= session == Sessions / 5 ? Footprint.Of(daemon) : null;
        }

        Footprint after = await Footprint.SettledAsync(daemon, before!);
        output.WriteLine(
            $"Figure: lying orders, {Sessions} sessions with {orders} orders from seed {seed}: {before} before, {after} after");
        await daemon.GuestIsWellAsync("other");
    }

    [MachineFact(Host)]
    public async Task Orders_are_taken_in_their_order_and_on_one_lane()
    {
        (PrepareRequest prepare, LoadStateRequest state) = await RecordPausedGuestAsync();
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon", "--link-timeout", "60s");
        using CallChannel channel = CallChannel.Connect(daemon.Listen);
        PrepareResponse prepared = await channel.Transport().PrepareAsync(prepare);
        (LaneCall push, LaneCall urgent) = OpenLanes(daemon, prepared);
        using (push)
        using (urgent)
        using (LaneCall handover = daemon.OpenLane(prepared, PageLanePaths.Handover))
        {
            Assert.Equal(
                Because.AlreadyThere,
                Assert.Throws<Refusal>(() => daemon.OpenLane(prepared, PageLanePaths.Handover)).Why);
            var run = new HandoverOrder { Run = new RunRequest() };
            var load = new HandoverOrder { LoadState = new LoadStateRequest { DeviceState = state.DeviceState } };
            var forget = new HandoverOrder { Forget = new ForgetRequest { StaleRuns = { 1, 1 } } };
            Assert.Equal((uint)Because.NotNow, Ask(handover, run).Code);
            Assert.Equal((uint)Because.NotNow, Ask(handover, forget).Code);
            Assert.Equal(new HandoverAnswer(), Ask(handover, load));
            Assert.Equal((uint)Because.NotNow, Ask(handover, load).Code);
            Assert.Equal(new HandoverAnswer(), Ask(handover, run));
            Assert.False(handover.TryReadMessage(out _));
            Assert.Equal(Because.NotNow, Assert.Throws<Refusal>(() => daemon.OpenLane(prepared, PageLanePaths.Handover)).Why);
            // It is the guest's host now, whatever else is said.
            await channel.Transport().RunAsync(new RunRequest { Session = prepared.Session });
            QueryOutcomeResponse outcome = await channel.Transport().QueryOutcomeAsync(
                new QueryOutcomeRequest { Session = prepared.Session });
            Assert.Equal(Outcome.Running, outcome.Outcome);
        }
    }

    [MachineTheory(Host)]
    [InlineData(0, Because.Invalid)]
    [InlineData(3, Because.Invalid)]
    [InlineData(3 << 20, Because.Busy)]
    public async Task A_message_that_is_no_order_ends_the_session(int length, Because why)
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon");
        PrepareResponse prepared = await PrepareAsync(daemon, "m", precopy: false);
        (LaneCall push, LaneCall urgent) = OpenLanes(daemon, prepared);
        using (push)
        using (urgent)
        using (LaneCall handover = daemon.OpenLane(prepared, PageLanePaths.Handover))
        {
            byte[] nonsense = new byte[length];
            Array.Fill(nonsense, (byte)0xff);
            Refusal refused = Assert.Throws<Refusal>(() =>
            {
                try
                {
                    handover.Write(nonsense);
                }
                catch (LaneException)
                {
                    // It has heard enough before the end; what it says of that is read below.
                }

                handover.TryReadMessage(out _);
            });
            Assert.Equal(why, refused.Why);
            await daemon.GoneAsync("g");
        }
    }

    [MachineFact(Host)]
    public async Task A_page_that_comes_again_with_other_contents_changes_nothing()
    {
        (PrepareRequest prepare, LoadStateRequest state) = await RecordPausedGuestAsync();
        // This source says nothing on its urgent lane while it pushes, however long that takes.
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon", "--link-timeout", "60s");
        using CallChannel channel = CallChannel.Connect(daemon.Listen);
        PrepareResponse prepared = await channel.Transport().PrepareAsync(prepare);
        (LaneCall push, LaneCall urgent) = OpenLanes(daemon, prepared);
        using (push)
        using (urgent)
        {
            state.Session = prepared.Session;
            await channel.Transport().LoadStateAsync(state);
            await channel.Transport().RunAsync(new RunRequest { Session = prepared.Session });

            // Every page once and then at once again: single pages, runs that overlap what is there, and pages that come back as zeros.
            var random = new Random(7);
            byte[] memory = new byte[Pages * PageSize];
            random.NextBytes(memory);
            byte[] lie = new byte[64 * PageSize];
            random.NextBytes(lie);
            int again = 0;
            for (int page = 0; page < Pages; page++)
            {
                Send(push, page, 1, memory.AsSpan(page * PageSize, PageSize));
                // Not behind the last one: with that the guest is complete, and its record may be written before what follows is dropped.
                if (page % 3 == 0 && page < Pages - 1)
                {
                    // Not across a boundary of 2 MiB, which no run may be.
                    int count = Math.Min(1 + random.Next(64), (page % 512) + 1);
                    Send(push, page - count + 1, count, random.Next(4) == 0 ? default : lie.AsSpan(0, count * PageSize));
                    again += count;
                }
            }

            // In this order: an urgent lane that ends while pages are missing is a lost one.
            push.FinishWriting();
            Drain(push);
            urgent.FinishWriting();
            Drain(urgent);
            await channel.Transport().CompleteAsync(new CompleteRequest { Session = prepared.Session });
            await daemon.GuestUntilAsync("g", guest => guest.State == GuestState.Paused);
            Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(memory)), await daemon.HashAsync("g"));
            Migration migration = await daemon.MigrationUntilAsync(prepare.MigrationId, one => one.State == MigrationState.Completed);
            Assert.Equal((ulong)again, migration.Placement.PagesRedundant);
        }
    }

    [MachineFact(Host)]
    public async Task A_destination_that_lies_never_gets_the_guest()
    {
        const int Migrations = 60;
        const int MostRequests = 200;
        int seed = Random.Shared.Next(1_000_000_000);
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await source.CreateGuestAsync("g", "kvm", "32MiB", "16MiB");
        Footprint? before = null;
        int requests = 0;
        for (int number = 0; number < Migrations; number++)
        {
            var random = new Random(unchecked((seed * 31) + number));
            await using ScriptedDestination destination = await ScriptedDestination.StartAsync();
            destination.OnUrgentLane = lane =>
            {
                for (int i = 1 + random.Next(MostRequests); i > 0; i--)
                {
                    requests++;
                    lane.Write(Request(random));
                }
            };
            // Whatever was asked for before it, the source has to decide what this answer is worth.
            destination.OnLoadState = _ => throw new Refusal(Because.NotNow, "no");
            string id;
            try
            {
                id = (await source.Calls.MigrateAsync(DaemonProcess.Order("g", destination.Address))).Id;
            }
            catch (Refusal)
            {
                continue;
            }

            await source.MigrationUntilAsync(id, one => one.State == MigrationState.Failed);
            Assert.DoesNotContain("Run", destination.Calls);
            before ??= number == Migrations / 5 ? Footprint.Of(source) : null;
        }

        Footprint after = await Footprint.SettledAsync(source, before!);
        output.WriteLine(
            $"Figure: lying destinations, {Migrations} migrations with {requests} requests from seed {seed}: {before} before, {after} after");
        await source.GuestIsWellAsync("g");
    }

    /// <summary>A page run: right, outside the guest, at odds with itself, or nothing of the kind.</summary>
    private static byte[] Run(Random random)
    {
        bool zero = random.Next(3) == 0;
        int count = random.Next(1, 20);
        long first = random.Next(5) == 0 ? random.NextInt64(0, long.MaxValue) : random.Next(Pages - count);
        var header = new PageRunHeader(random.Next(20) == 0 ? 1u : 0, (ulong)first, (uint)count, zero, random.Next(5) == 0);
        byte[] head = new byte[PageRunCodec.MaxHeadBytes];
        byte[] run = [];
        try
        {
            int length = PageRunCodec.Encode(header, head);
            byte[] data = new byte[header.DataLength];
            random.NextBytes(data);
            run = [.. head.AsSpan(0, length), .. data];
        }
        catch (ArgumentException)
        {
            // Not even the encoder takes it: an empty message.
        }

        return random.Next(3) == 0 ? AttackBytes.Mutated(run, random) : run;
    }

    /// <summary>A request: for a page that the guest has, the same again and again, for one that it has not, or nothing of the kind.</summary>
    private static byte[] Request(Random random)
    {
        // The guest has 8192 pages.
        ulong page = random.Next(30) == 0 ? (ulong)random.NextInt64() : (ulong)random.Next(random.Next(2) == 0 ? 4 : 2 * Pages);
        byte[] request = new byte[PageRequestCodec.MaxBytes];
        int length = PageRequestCodec.Encode(new PageAddress(random.Next(50) == 0 ? (uint)random.Next() : 0, page), request);
        return random.Next(20) == 0 ? AttackBytes.Mutated(request[..length], random) : request[..length];
    }

    private static void Send(LaneCall lane, int first, int count, ReadOnlySpan<byte> data)
    {
        lane.Send(new PageRunHeader(0, (ulong)first, (uint)count, data.IsEmpty), data);
    }

    /// <summary>What a real source says of a guest that is paused, to somebody who does not take it.</summary>
    private static async Task<(PrepareRequest Prepare, LoadStateRequest State)> RecordPausedGuestAsync()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await source.CreateGuestAsync("g", "workload", "16MiB", "4MiB", vcpus: 1);
        (await source.CliAsync("guest", "pause", "g")).Succeeds();
        await using ScriptedDestination destination = await ScriptedDestination.StartAsync();
        PrepareRequest? prepare = null;
        LoadStateRequest? state = null;
        destination.OnPrepare = request =>
        {
            prepare = request;
            return destination.Prepared;
        };
        destination.OnLoadState = request =>
        {
            state = request;
            throw new Refusal(Because.NotNow, "it is only looked at");
        };
        (await source.CliAsync("migrate", "g", "--to", destination.Address, "--mode", "postcopy")).Fails("only looked at");
        return (prepare!, state!);
    }

    private static async Task<PrepareResponse> PrepareAsync(DaemonProcess daemon, string migration, bool precopy)
    {
        using CallChannel channel = CallChannel.Connect(daemon.Listen);
        PrepareRequest request = Requests.Prepare("g", migration);
        request.HandoverLane = true;
        if (precopy)
        {
            request.ProtocolVersion = 2;
            request.Mode = MigrationMode.Hybrid;
        }

        PrepareResponse prepared = await channel.Transport().PrepareAsync(request);
        Assert.True(prepared.HandoverLane);
        return prepared;
    }

    /// <summary>An order: at the wrong time, of nonsense, of several at once, or nothing of the kind.</summary>
    private static byte[] Order(Random random)
    {
        byte[] state = new byte[random.Next(2000)];
        random.NextBytes(state);
        HandoverOrder order = random.Next(4) switch
        {
            0 => new HandoverOrder { Run = new RunRequest { Session = "another" } },
            1 => new HandoverOrder { LoadState = new LoadStateRequest { DeviceState = ByteString.CopyFrom(state) } },
            2 => new HandoverOrder
            {
                Forget = new ForgetRequest { StaleRuns = { Enumerable.Range(0, random.Next(20)).Select(_ => (ulong)random.NextInt64()) } },
            },
            _ => new HandoverOrder { Forget = new ForgetRequest { StaleRuns = { (ulong)random.Next(100), (ulong)random.Next(100) } } },
        };
        return random.Next(3) == 0 ? AttackBytes.Mutated(order.ToByteArray(), random) : order.ToByteArray();
    }

    private static HandoverAnswer Ask(LaneCall handover, HandoverOrder order)
    {
        handover.Write(order.ToByteArray());
        Assert.True(handover.TryReadMessage(out int length));
        byte[] answer = new byte[length];
        handover.Read(answer);
        return HandoverAnswer.Parser.ParseFrom(answer);
    }

    private static async Task<(LaneCall Push, LaneCall Urgent)> OpenAsync(DaemonProcess daemon, string migration)
    {
        using CallChannel channel = CallChannel.Connect(daemon.Listen);
        return OpenLanes(daemon, await channel.Transport().PrepareAsync(Requests.Prepare("g", migration)));
    }

    private static (LaneCall Push, LaneCall Urgent) OpenLanes(DaemonProcess daemon, PrepareResponse prepared) =>
        (daemon.OpenLane(prepared, PageLanePaths.Push), daemon.OpenLane(prepared, PageLanePaths.Urgent));

    private static void Drain(LaneCall lane)
    {
        byte[] buffer = new byte[PageSize];
        while (lane.TryReadMessage(out int length))
        {
            for (; length > 0; length -= Math.Min(length, buffer.Length))
            {
                lane.Read(buffer.AsSpan(0, Math.Min(length, buffer.Length)));
            }
        }
    }
}
