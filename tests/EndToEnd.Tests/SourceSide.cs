using System.Net;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.V1;

namespace MigrationD.EndToEnd.Tests;

/// <summary>A session's lanes as its source uses them, for tests that are that source.</summary>
internal static class SourceSide
{
    /// <summary>Opens a lane of a session that was prepared.</summary>
    public static LaneCall OpenLane(this DaemonProcess daemon, PrepareResponse prepared, string path, int lane = 0) => LaneClient.Open(
        IPEndPoint.Parse(daemon.Lanes), path, LaneMetadata.For(prepared.Session, prepared.Secret.Span, lane), new LaneOptions(),
        CancellationToken.None);

    /// <summary>Sends a run, and its data if it has any.</summary>
    public static void Send(this LaneCall lane, PageRunHeader run, ReadOnlySpan<byte> data = default)
    {
        byte[] head = new byte[PageRunCodec.MaxHeadBytes];
        int length = PageRunCodec.Encode(run, head);
        lane.Write([.. head.AsSpan(0, length), .. data]);
    }
}
