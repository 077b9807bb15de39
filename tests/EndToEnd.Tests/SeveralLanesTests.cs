using System.Globalization;
using System.Net;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests;

/// <summary>Pages that go over several push lanes at the same time.</summary>
public sealed class SeveralLanesTests
{
    private const Needs Host = Needs.Userfaultfd | Needs.Kvm;
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    [MachineTheory(Host)]
    [InlineData("kvm", "uniform", MigrationMode.Postcopy, 4)]
    [InlineData("kvm", "sequential", MigrationMode.Hybrid, 3)]
    [InlineData("kvm", "zipf", MigrationMode.Precopy, 2)]
    [InlineData("workload", "zipf", MigrationMode.Postcopy, 16)]
    [InlineData("workload", "uniform", MigrationMode.Hybrid, 5)]
    [InlineData("workload", "sequential", MigrationMode.Precopy, 4)]
    public async Task A_guest_that_writes_goes_there_and_back(string kind, string pattern, MigrationMode mode, int lanes)
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", kind, "64MiB", "40MiB", pattern: pattern);

        Migration there = await MoveAsync(source, destination, mode, lanes);
        await destination.GuestIsWellAsync("g");
        Migration back = await MoveAsync(destination, source, mode, lanes);
        await source.GuestIsWellAsync("g");

        // No page went over two push lanes, or the second copy would have been redundant; those that were asked for may come twice.
        Assert.All([there, back], migration =>
        {
            PlacementCounters placed = migration.Placement;
            Assert.Equal(migration.PagesTotal, placed.PagesUrgent + placed.PagesPush + placed.PagesZero - placed.PagesForgotten);
            Assert.InRange(placed.PagesRedundant, 0UL, placed.FaultsRequested * 64);
        });
    }

    [MachineFact(Host)]
    public async Task Each_lane_is_a_connection_of_its_own_and_brings_pages()
    {
        const int Lanes = 4;
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", "workload", "64MiB", "48MiB");
        (await source.CliAsync("guest", "pause", "g")).Succeeds();
        string before = await source.HashAsync("g");
        (await source.CliAsync(
            "migrate", "g", "--to", destination.Listen, "--mode", "postcopy", "--lanes", $"{Lanes}", "--bandwidth", "1MiB/s", "--detach"))
            .Succeeds();
        string id = (await source.Calls.ListMigrationsAsync(new ListMigrationsRequest())).Migrations.Single().Id;

        // More than the pages that were never written, and nobody asks for anything: what is there was pushed.
        await destination.MigrationUntilAsync(id, one => one.PagesReceived >= 5000);
        // Whatever else was dialled there by mistake or in vain is closed again.
        var clock = System.Diagnostics.Stopwatch.StartNew();
        while (Connections(destination) is var connections && connections != 1 + Lanes)
        {
            Assert.True(clock.Elapsed < Deadline, $"{connections} connections, {1 + Lanes} wanted\n{destination.Log}");
            await Task.Delay(20);
        }

        await source.Calls.SetMigrationAsync(new SetMigrationRequest { Id = id, Bandwidth = 0 });
        await source.MigrationUntilAsync(id, one => one.State == MigrationState.Completed);
        Assert.Equal(before, await destination.HashAsync("g"));
    }

    [MachineFact(Host)]
    public async Task No_more_are_taken_than_there_may_be()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await source.CreateGuestAsync("g", "workload", "16MiB", "4MiB", vcpus: 1);
        (await source.CliAsync("migrate", "g", "--to", "127.0.0.1:1", "--lanes", "17")).Fails("from 1 to 16");
        Refusal refusal = await Assert.ThrowsAsync<Refusal>(
            async () => await source.Calls.MigrateAsync(new MigrateRequest { Guest = "g", To = "127.0.0.1:1", Lanes = 17 }));
        Assert.Equal(Because.Invalid, refusal.Why);
        Assert.Contains("17 lanes", refusal.Message, StringComparison.Ordinal);
        await source.GuestIsWellAsync("g");
    }

    [MachineFact(Needs.Userfaultfd)]
    public async Task Precopy_is_over_when_it_is_over_on_each_lane()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon");
        using CallChannel channel = CallChannel.Connect(daemon.Listen);
        PrepareResponse prepared = await PrepareAsync(channel, pushLanes: 2);
        using LaneCall urgent = daemon.OpenLane(prepared, PageLanePaths.Urgent, 0);
        using LaneCall first = daemon.OpenLane(prepared, PageLanePaths.Push, 0);
        using LaneCall second = daemon.OpenLane(prepared, PageLanePaths.Push, 1);
        second.Send(new PageRunHeader(0, 0, 0, IsZero: false, Mark: PrecopyMark.PrecopyEnded));
        Assert.Equal(1U, Report(second).Marks);

        // On the other one pages may still be coming.
        Refusal refusal = await Assert.ThrowsAsync<Refusal>(
            async () => await channel.Transport().ForgetAsync(new ForgetRequest { Session = prepared.Session }));
        Assert.Equal(Because.NotNow, refusal.Why);
        Assert.Contains("on each of its push lanes", refusal.Message, StringComparison.Ordinal);
        first.Send(new PageRunHeader(0, 5, 3, IsZero: true));

        // On this one none may.
        second.Send(new PageRunHeader(0, 8, 1, IsZero: true));
        refusal = Assert.Throws<Refusal>(() => second.TryReadMessage(out _));
        Assert.Equal(Because.NotNow, refusal.Why);
        Assert.Contains("after the end of precopy", refusal.Message, StringComparison.Ordinal);
        await daemon.GuestsUntilAsync(guests => guests.Count == 0);
    }

    [MachineTheory(Needs.Userfaultfd)]
    [InlineData("2", "there is no push lane 2: the session of guest 'g' has 2")]
    [InlineData("-1", "does not say in a number which one it is")]
    [InlineData("one", "does not say in a number which one it is")]
    [InlineData("99999999999", "does not say in a number which one it is")]
    public async Task A_lane_that_the_session_does_not_have_is_refused(string lane, string why)
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon");
        using CallChannel channel = CallChannel.Connect(daemon.Listen);
        PrepareResponse prepared = await PrepareAsync(channel, pushLanes: 2);
        Dictionary<string, string> metadata = LaneMetadata.For(prepared.Session, prepared.Secret.Span);
        metadata[PageLanePaths.LaneMetadata] = lane;
        Refusal refusal = Assert.Throws<Refusal>(() =>
        {
            using LaneCall call = LaneClient.Open(
                IPEndPoint.Parse(daemon.Lanes), PageLanePaths.Push, metadata, new LaneOptions(), CancellationToken.None);
            call.TryReadMessage(out _);
        });
        Assert.Equal(Because.Invalid, refusal.Why);
        Assert.Contains(why, refusal.Message, StringComparison.Ordinal);
        // The session is none the worse for it.
        using LaneCall right = daemon.OpenLane(prepared, PageLanePaths.Push, 1);
    }

    private static Task<PrepareResponse> PrepareAsync(CallChannel channel, uint pushLanes)
    {
        PrepareRequest request = Requests.Prepare("g", "several-lanes");
        request.ProtocolVersion = 2;
        request.Mode = MigrationMode.Hybrid;
        request.PushLanes = pushLanes;
        return channel.Transport().PrepareAsync(request).ResponseAsync;
    }

    private static PushReport Report(LaneCall lane)
    {
        Assert.True(lane.TryReadMessage(out int length));
        byte[] message = new byte[length];
        lane.Read(message);
        return PushReport.Parser.ParseFrom(message);
    }

    private static async Task<Migration> MoveAsync(DaemonProcess from, DaemonProcess to, MigrationMode mode, int lanes)
    {
        MigrateRequest order = DaemonProcess.Order("g", to.Listen, mode);
        order.Lanes = (uint)lanes;
        order.TimeoutStrategy = TimeoutStrategy.Continue;
        order.MaxRounds = 3;
        string id = (await from.Calls.MigrateAsync(order)).Id;
        Migration left = await from.MigrationUntilAsync(id, one => one.State is MigrationState.Completed or MigrationState.Failed);
        Assert.True(left.State == MigrationState.Completed, $"{left}\n{from.Log}\n{to.Log}");
        return await to.MigrationUntilAsync(id, one => one.State == MigrationState.Completed);
    }

    /// <summary>Connections that are established to a daemon's lanes, as the kernel counts them (proc_net_tcp.txt).</summary>
    private static int Connections(DaemonProcess daemon)
    {
        const string Established = "01";
        int port = IPEndPoint.Parse(daemon.Lanes).Port;
        return File.ReadLines($"/proc/{daemon.ProcessId}/net/tcp").Skip(1)
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Count(fields => fields[3] == Established
                && int.Parse(fields[1].Split(':')[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture) == port);
    }
}
