using MigrationD.Daemon.Source.Push;
using MigrationD.Daemon.Tests.Hosting;
using MigrationD.Guest.Memory;
using MigrationD.Protocol.V1;
using PageRun = MigrationD.Protocol.V1.PageRun;

namespace MigrationD.Daemon.Tests.Source.Push;

/// <summary>
/// Memory that is on its way out, with what all lanes of its migration have in common. Nothing is written in it at first. The clock of the
/// pace stands still until it is told otherwise.
/// </summary>
internal sealed class OutgoingGuest : IDisposable
{
    /// <param name="blocks">How many blocks of memory there are.</param>
    /// <param name="packed">How what is pushed is packed.</param>
    public OutgoingGuest(int blocks, PageCompression packed = PageCompression.None)
    {
        Memory = GuestMemory.Map(blocks * GuestPage.BlockSize);
        Sent = new SentPages(Memory.PageCount);
        Pace = new PushPace(Clock);
        Released = new ReleasedMemory(Memory);
        Compression = new PushCompression(CompressMode.On);
        Compression.Agree(packed);
        Outgoing = new OutgoingMemory("one", Memory, Sent, Pace, Compression, Released);
    }

    public ManualClock Clock { get; } = new();

    public GuestMemory Memory { get; }

    public SentPages Sent { get; }

    public PushPace Pace { get; }

    public PushCompression Compression { get; }

    public ReleasedMemory Released { get; }

    public OutgoingMemory Outgoing { get; }

    /// <summary>The guest writes pages.</summary>
    public void Write(long first, int count)
    {
        for (long page = first; page < first + count; page++)
        {
            Memory.Write(page * GuestPage.Size, [.. Enumerable.Repeat((byte)((page % 251) + 1), GuestPage.Size)]);
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

    /// <summary>More has been pushed than may be for long.</summary>
    public void Exhaust(bool isPostcopy = false)
    {
        Pace.Set(isPostcopy ? 0 : 1, isPostcopy ? 1 : 0);
        Assert.True(Pace.Wait(isPostcopy, () => false));
        Pace.Pushed(1 << 20, isPostcopy);
        Assert.True(MustWait(isPostcopy));
    }

    public void Dispose() => Memory.Dispose();
}
