using System.Net;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests.Hostile;

/// <summary>Whatever comes in at any door of a daemon ends that connection; the daemon and its guests go on.</summary>
public sealed class HostileInputTests
{
    private const Needs Host = Needs.Userfaultfd | Needs.Kvm;

    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    [MachineTheory(Host)]
    [InlineData(16u << 8, 1u, 0u)]
    [InlineData(0u, 1u, 1u)]
    public async Task A_page_outside_the_guest_ends_its_session_and_nothing_else(uint page, uint count, uint block)
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon");
        await daemon.CreateGuestAsync("other", "workload", "16MiB", "4MiB", vcpus: 1);
        (LaneCall push, _) = await OpenAsync(daemon, "outside");
        using (push)
        {
            push.Send(new PageRunHeader(block, page, count, IsZero: true));
            Refusal refusal = Assert.Throws<Refusal>(() => push.TryReadMessage(out _));
            Assert.Equal(Because.OutOfRange, refusal.Why);
            Assert.Contains("4096 pages", refusal.Message, StringComparison.Ordinal);
        }

        await daemon.GoneAsync("g");
        await daemon.GuestIsWellAsync("other");
    }

    [MachineFact(Host)]
    public async Task A_lane_without_the_secret_is_refused()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon");
        using CallChannel channel = CallChannel.Connect(daemon.Listen);
        PrepareResponse prepared = await channel.Transport().PrepareAsync(Requests.Prepare("g", "secret"));
        foreach (Dictionary<string, string> metadata in new[]
        {
            LaneMetadata.For(prepared.Session, new byte[32]),
            LaneMetadata.For("no such session", prepared.Secret.Span),
            new Dictionary<string, string>(),
        })
        {
            Refusal refusal = Assert.Throws<Refusal>(() => LaneClient.Open(
                IPEndPoint.Parse(daemon.Lanes), PageLanePaths.Push, metadata, new LaneOptions(), CancellationToken.None));
            Assert.Equal(Because.Untrusted, refusal.Why);
        }

        // The rightful source still gets in.
        using LaneCall push = LaneClient.Open(
            IPEndPoint.Parse(daemon.Lanes), PageLanePaths.Push, LaneMetadata.For(prepared.Session, prepared.Secret.Span), new LaneOptions(),
            CancellationToken.None);
    }

    [MachineFact(Host)]
    public async Task A_destination_that_asks_for_pages_the_guest_does_not_have_loses_the_migration()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await source.CreateGuestAsync("g", "kvm", "32MiB", "16MiB");
        await using ScriptedDestination destination = await ScriptedDestination.StartAsync();
        destination.OnUrgentLane = lane =>
        {
            Span<byte> request = stackalloc byte[PageRequestCodec.MaxBytes];
            lane.Write(request[..PageRequestCodec.Encode(new PageAddress(0, 1 << 20), request)]);
        };
        // The source gives up by itself, whatever this would have answered.
        using var never = new ManualResetEventSlim();
        destination.OnLoadState = _ =>
        {
            never.Wait(Deadline);
            return new LoadStateResponse();
        };
        (await source.CliAsync("migrate", "g", "--to", destination.Address, "--mode", "postcopy")).Fails("asked for page 1048576");
        never.Set();
        await source.GuestIsWellAsync("g");
    }

    private static async Task<(LaneCall Push, LaneCall Urgent)> OpenAsync(DaemonProcess daemon, string migration)
    {
        using CallChannel channel = CallChannel.Connect(daemon.Listen);
        PrepareResponse prepared = await channel.Transport().PrepareAsync(Requests.Prepare("g", migration));
        return (daemon.OpenLane(prepared, PageLanePaths.Push), daemon.OpenLane(prepared, PageLanePaths.Urgent));
    }
}
