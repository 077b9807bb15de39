using FsCheck;
using FsCheck.Fluent;

namespace MigrationD.Guest.Tests.Memory;

public sealed class HostWritesTests
{
    private const int Pages = 256;

    [Fact]
    public void Every_page_of_a_write_is_entered_once()
    {
        Gen<(int Offset, int Length)[]> writes =
            (from offset in Gen.Choose(0, (Pages * GuestPage.Size) - 1)
             from length in Gen.Choose(0, Math.Min(20_000, (Pages * GuestPage.Size) - offset))
             select (offset, length)).ArrayOf();
        Prop.ForAll(writes.ToArbitrary(), input =>
        {
            var log = new HostWrites(Pages);
            var model = new SortedSet<long>();
            foreach ((int offset, int length) in input)
            {
                log.Mark(offset, length);
                for (long at = offset; at < offset + length; at++)
                {
                    model.Add(at / GuestPage.Size);
                }
            }

            Assert.Equal(model, Taken(log, 0, Pages, forget: false));
            Assert.Equal(model.GetViewBetween(128, Pages), Taken(log, 128, 128, forget: true));
            Assert.Equal(model.GetViewBetween(0, 127), Taken(log, 0, Pages, forget: true));
            Assert.Empty(Taken(log, 0, Pages, forget: true));
        }).QuickCheckThrowOnFailure();
    }

    /// <summary>
    /// Threads write while others switch the log on and harvest it: what a thread wrote is in the copy, or in a harvest after it.
    /// </summary>
    [Fact]
    public void A_write_is_in_the_copy_or_in_a_later_harvest()
    {
        const int Rounds = 300;
        using GuestMemory memory = GuestMemory.Map(GuestPage.BlockSize);
        bool ended = false;
        TestThread[] writers = [.. Enumerable.Range(0, 2).Select(number => new TestThread($"writer {number}", () =>
        {
            for (long value = 1; !Volatile.Read(ref ended); value++)
            {
                memory.Write((value % Pages * GuestPage.Size) + (number * sizeof(long)), BitConverter.GetBytes(value));
            }
        }))];
        try
        {
            byte[] copy = new byte[Pages * GuestPage.Size];
            for (int round = 0; round < Rounds; round++)
            {
                var log = new HostWrites(Pages);
                memory.LogHostWrites(log);
                memory.Read(0, copy);
                for (int harvest = 0; harvest < 5; harvest++)
                {
                    CopyHarvest(memory, log, copy);
                }

                if (round == Rounds - 1)
                {
                    Volatile.Write(ref ended, true);
                    Array.ForEach(writers, writer => writer.Join());
                    CopyHarvest(memory, log, copy);
                    byte[] last = new byte[copy.Length];
                    memory.Read(0, last);
                    Assert.True(last.AsSpan().SequenceEqual(copy), "the copy lacks a write");
                }

                memory.LogHostWrites(null);
            }
        }
        finally
        {
            Volatile.Write(ref ended, true);
        }
    }

    private static void CopyHarvest(GuestMemory memory, HostWrites log, byte[] copy)
    {
        foreach (long page in Taken(log, 0, Pages, forget: true))
        {
            int offset = (int)page * GuestPage.Size;
            memory.Read(offset, copy.AsSpan(offset, GuestPage.Size));
        }
    }

    private static List<long> Taken(HostWrites log, long firstPage, int pages, bool forget)
    {
        var words = new ulong[pages / 64];
        log.AddTo(firstPage, words, forget);
        var set = new PageSet(Pages);
        set.UnionWith(firstPage, words);
        return [.. Enumerable.Range(0, Pages).Where(page => set.Contains(page)).Select(page => (long)page)];
    }
}
