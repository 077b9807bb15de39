using MigrationD.Daemon.Source.Push;
using MigrationD.Daemon.Tests.Lanes;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Source.Push;

/// <summary>Memory that is on its way out over one lane; the test is the destination.</summary>
internal sealed class OutgoingScene : IDisposable
{
    private readonly LaneServer _server;

    /// <param name="path">Which lane it is.</param>
    /// <param name="blocks">How many blocks of memory there are.</param>
    /// <param name="packed">How what is pushed is packed.</param>
    /// <param name="options">Of both ends of the lane.</param>
    public OutgoingScene(
        string path, int blocks, PageCompression packed = PageCompression.None, LaneOptions? options = null)
    {
        Guest = new OutgoingGuest(blocks, packed);
        Order = new PushOrder(blocks);
        _server = new LaneServer(options);
        Near = _server.Open(path);
        Far = _server.Take(path);
    }

    /// <summary>Whose memory it is.</summary>
    public OutgoingGuest Guest { get; }

    public PushOrder Order { get; }

    public UrgentGate Gate { get; } = new();

    /// <summary>The source's end of the lane.</summary>
    public LaneCall Near { get; }

    /// <summary>The destination's end.</summary>
    public LaneCall Far { get; }

    public void Dispose()
    {
        Near.Dispose();
        _server.Dispose();
        Guest.Dispose();
    }
}
