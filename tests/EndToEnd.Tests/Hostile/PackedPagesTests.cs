using MigrationD.Protocol.Calls;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests.Hostile;

/// <summary>A source that is let in and packs pages wrongly: it loses its session, and nobody else notices.</summary>
public sealed class PackedPagesTests(ITestOutputHelper output)
{
    private const int PageSize = 4096;
    private const int BlockPages = 512;

    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    [MachineFact(Needs.Userfaultfd | Needs.Kvm)]
    public async Task Whatever_is_wrong_with_packed_pages_ends_the_session_and_nothing_else()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon");
        await daemon.CreateGuestAsync("other", "kvm", "32MiB", "16MiB");
        Footprint? before = null;
        for (int round = 0; round < 3; round++)
        {
            foreach (PageCompression agreed in PageCompressions.Known)
            {
                byte[] block = Pack(agreed, new byte[BlockPages * PageSize]);
                byte[] page = Pack(agreed, new byte[PageSize]);
                byte[] bomb = Pack(agreed, new byte[256 << 20]);
                byte[] noise = new byte[PageSize - 1];
                new Random(round).NextBytes(noise);
                PageCompression other = agreed == PageCompression.Zstd ? PageCompression.Brotli : PageCompression.Zstd;

                await RefusedAsync(daemon, agreed, agreed, 1, block, "do not unpack to 1 pages");
                await RefusedAsync(daemon, agreed, agreed, BlockPages, page, "do not unpack to 512 pages");
                await RefusedAsync(daemon, agreed, agreed, BlockPages, block[..^1], "do not unpack");
                await RefusedAsync(daemon, agreed, agreed, BlockPages, bomb, "do not unpack to 512 pages");
                await RefusedAsync(daemon, agreed, agreed, 1, noise, "do not unpack");
                await RefusedAsync(daemon, agreed, agreed, 2, [0], "do not unpack");
                // Right, but for another session or another lane.
                await RefusedAsync(daemon, agreed, other, 1, page, $"this session has agreed on {agreed}");
                await RefusedAsync(daemon, PageCompression.None, agreed, 1, page, "this session has agreed on none");
                await RefusedAsync(daemon, agreed, agreed, 1, page, "on the urgent lane they come as they are", PageLanePaths.Urgent);
            }

            before ??= Footprint.Of(daemon);
        }

        Footprint after = await Footprint.SettledAsync(daemon, before!);
        output.WriteLine($"Figure: pages packed wrongly: {before} before, {after} after");
        await daemon.GuestIsWellAsync("other");
    }

    private static async Task RefusedAsync(
        DaemonProcess daemon, PageCompression agreed, PageCompression sent, int pages, byte[] data, string why,
        string path = PageLanePaths.Push)
    {
        using CallChannel channel = CallChannel.Connect(daemon.Listen);
        PrepareRequest request = Requests.Prepare("g", $"packed-{Guid.NewGuid():N}");
        if (agreed != PageCompression.None)
        {
            request.Compressions.Add([(PageCompression)77, agreed]);
        }

        PrepareResponse prepared = await channel.Transport().PrepareAsync(request);
        Assert.Equal(agreed, prepared.Compression);
        using LaneCall urgent = daemon.OpenLane(prepared, PageLanePaths.Urgent);
        using LaneCall push = daemon.OpenLane(prepared, PageLanePaths.Push);
        LaneCall lane = path == PageLanePaths.Push ? push : urgent;
        lane.Send(new PageRunHeader(0, 0, (uint)pages, IsZero: false, Compression: sent, PackedLength: data.Length), data);
        Refusal refusal = Assert.Throws<Refusal>(() =>
        {
            while (lane.TryReadMessage(out int message))
            {
                lane.Read(new byte[message]);
            }
        });
        Assert.Equal(Because.Invalid, refusal.Why);
        Assert.Contains(why, refusal.Message, StringComparison.OrdinalIgnoreCase);
        await daemon.GoneAsync("g");
    }

    private static byte[] Pack(PageCompression compression, byte[] pages)
    {
        using var packer = new PagePacker(compression);
        byte[] into = new byte[1 << 20];
        int length = packer.Pack(pages, into);
        Assert.NotEqual(0, length);
        return into[..length];
    }
}
