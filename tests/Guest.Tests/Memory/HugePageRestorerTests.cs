namespace MigrationD.Guest.Tests.Memory;

public sealed class HugePageRestorerTests
{
    private const int Blocks = 8;
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    [MachineFact(Needs.Userfaultfd)]
    public void Blocks_that_came_in_pieces_are_huge_again_and_hold_the_same()
    {
        using GuestMemory memory = GuestMemory.Map(Blocks * GuestPage.BlockSize);
        using IncomingMemory incoming = IncomingMemory.Register(memory, Placement.Move);
        using PagePlacer placer = incoming.CreatePlacer(1);
        for (long page = 0; page < memory.PageCount; page++)
        {
            placer.Stage(page, 1).Fill((byte)(page % 251 + 1));
            placer.Place(page, 1, PagePath.Push);
        }

        // The last block was no huge page where it came from, and stays in pieces.
        for (int block = 0; block < Blocks - 1; block++)
        {
            incoming.MarkHuge(block);
        }

        // Once they are complete the kernel's own thread may come first to some, and to the last block too.
        using var scanner = new PageScanner(memory);
        Assert.DoesNotContain(Enumerable.Range(0, Blocks), block => scanner.IsHuge(block));
        incoming.Complete();
        Assert.Equal(Enumerable.Range(0, Blocks - 1).Select(block => (long)block), incoming.HugeBlocks());
        int restored = -1;
        using var done = new ManualResetEventSlim();
        using (new HugePageRestorer(memory, incoming.HugeBlocks(), count =>
        {
            restored = count;
            done.Set();
        }))
        {
            Assert.True(done.Wait(Deadline));
        }

        Assert.InRange(restored, 1, Blocks - 1);
        Assert.All(incoming.HugeBlocks(), block => Assert.True(scanner.IsHuge(block)));
        byte[] content = new byte[GuestPage.Size];
        for (long page = 0; page < memory.PageCount; page++)
        {
            memory.Read(page * GuestPage.Size, content);
            Assert.Equal(-1, content.AsSpan().IndexOfAnyExcept((byte)(page % 251 + 1)));
        }
    }

    [MachineFact(Needs.Userfaultfd)]
    public void It_stops_when_told()
    {
        using GuestMemory memory = GuestMemory.Map(64 * GuestPage.BlockSize);
        var restorer = new HugePageRestorer(memory, [.. Enumerable.Range(0, 64).Select(block => (long)block)], _ => { });
        Assert.True(Task.Run(restorer.Dispose).Wait(Deadline));
    }
}
