using MigrationD.Daemon.Source.Push;
using MigrationD.Daemon.Tests.Hosting;
using MigrationD.Daemon.Tests.Lanes;
using MigrationD.Guest.Memory;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.V1;
using PageRun = MigrationD.Protocol.V1.PageRun;

namespace MigrationD.Daemon.Tests.Source.Push;

/// <summary>
/// Memory that is on its way out, with what all lanes of a migration have in common, and one lane; the test is the destination. Nothing is
/// written in it at first. The clock of the pace stands still until it is told otherwise.
/// </summary>
internal sealed class OutgoingScene : IDisposable
{
    public const int Block = GuestPage.PerBlock;

    private readonly LaneServer _server;

    /// <param name="path">Which lane it is.</param>
    /// <param name="blocks">How many blocks of memory there are.</param>
    /// <param name="packed">How what is pushed is packed.</param>
    /// <param name="options">Of both ends of the lane.</param>
    public OutgoingScene(
        string path, int blocks, PageCompression packed = PageCompression.None, LaneOptions? options = null)
    {
        Memory = GuestMemory.Map(blocks * GuestPage.BlockSize);
        Sent = new SentPages(Memory.PageCount);
        Pace = new PushPace(Clock);
        Released = new ReleasedMemory(Memory);
        Compression = new PushCompression(CompressMode.On);
        Compression.Agree(packed);
        Order = new PushOrder(blocks);
        Outgoing = new OutgoingMemory("one", Memory, Sent, Pace, Compression, Released);
        _server = new LaneServer(options);
        Near = _server.Open(path);
        Far = _server.Take();
    }

    public ManualClock Clock { get; } = new();

    public GuestMemory Memory { get; }

    public SentPages Sent { get; }

    public PushPace Pace { get; }

    public PushCompression Compression { get; }

    public ReleasedMemory Released { get; }

    public PushOrder Order { get; }

    public UrgentGate Gate { get; } = new();

    public OutgoingMemory Outgoing { get; }

    /// <summary>The source's end of the lane.</summary>
    public LaneCall Near { get; }

    /// <summary>The destination's end.</summary>
    public LaneCall Far { get; }

    /// <summary>What a page holds that was written.</summary>
    public static byte[] Content(long page) => [.. Enumerable.Repeat((byte)((page % 251) + 1), GuestPage.Size)];

    /// <summary>The guest writes pages.</summary>
    public void Write(long first, int count)
    {
        for (long page = first; page < first + count; page++)
        {
            Memory.Write(page * GuestPage.Size, Content(page));
        }
    }

    /// <summary>Asserts that a run came with what its pages hold here.</summary>
    public void AssertContent(PageRun run)
    {
        byte[] here = new byte[run.Data.Length];
        Memory.Read((long)run.FirstPage * GuestPage.Size, here);
        Assert.Equal(((int)run.PageCount * GuestPage.Size, true), (run.Data.Length, run.Data.Span.SequenceEqual(here)));
    }

    /// <summary>Whether a push would have to wait now.</summary>
    public bool MustWait(bool isPostcopy = false)
    {
        int asked = 0;
        if (!Pace.Wait(isPostcopy, () => asked++ > 0))
        {
            return true;
        }

        Pace.GiveBack();
        return false;
    }

    public void Dispose()
    {
        Near.Dispose();
        _server.Dispose();
        Memory.Dispose();
    }
}
