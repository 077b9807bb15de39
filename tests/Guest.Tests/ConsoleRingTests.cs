using System.Text;
using FsCheck;
using FsCheck.Fluent;

namespace MigrationD.Guest.Tests;

public sealed class ConsoleRingTests
{
    [Fact]
    public void The_console_keeps_the_last_bytes()
    {
        var ring = new ConsoleRing(8);
        ring.Write("abc"u8);
        Assert.Equal("abc", Read(ring, 0, out long from));
        Assert.Equal(0, from);
        ring.Write("defghij"u8);
        Assert.Equal(10, ring.Written);
        Assert.Equal("defghij", Read(ring, 3, out from));
        Assert.Equal(3, from);
        Assert.Equal("cdefghij", Read(ring, 0, out from));
        Assert.Equal(2, from);
        Assert.Equal("cde", Encoding.ASCII.GetString(ring.Read(0, 3, out _)));
        Assert.Equal("", Read(ring, 10, out _));
        Assert.Equal("", Read(ring, long.MaxValue, out _));
        Assert.Equal("cdefghij", Read(ring, -5, out _));
    }

    /// <summary>Against the whole of what was written: whoever reads, here or on the next host, gets what is kept and no more.</summary>
    [Fact]
    public void The_console_is_the_end_of_all_that_was_written_on_whatever_host()
    {
        Prop.ForAll<byte[][], PositiveInt>((writes, capacity) =>
        {
            int size = 1 + (capacity.Get % 40);
            var ring = new ConsoleRing(size);
            var all = new List<byte>();
            int lost = 0;
            foreach (byte[] write in writes)
            {
                ring.Write(write);
                all.AddRange(write);
                if (write.Length % 3 == 0)
                {
                    // Some of what is kept may stay behind.
                    (long written, byte[] tail) = ring.Save();
                    tail = tail[(tail.Length * (write.Length % 2) / 2)..];
                    lost = all.Count - tail.Length;
                    ring = new ConsoleRing(size);
                    ring.Write("something else"u8);
                    ring.Load(written, tail);
                }

                int first = Math.Max(all.Count - size, lost);
                for (int offset = 0; offset <= all.Count; offset++)
                {
                    byte[] read = ring.Read(offset, 7, out long from);
                    if (from != Math.Max(offset, first) || !read.SequenceEqual(all.Skip((int)from).Take(7)))
                    {
                        return false;
                    }
                }
            }

            return ring.Written == all.Count;
        }).QuickCheckThrowOnFailure();
    }

    [Theory]
    [InlineData(2, 3)]
    [InlineData(100, 9)]
    [InlineData(-1, 0)]
    public void The_console_refuses_what_cannot_be_the_end_of_so_much(long written, int tail)
    {
        var ring = new ConsoleRing(8);
        ring.Write("abc"u8);
        Assert.Throws<ArgumentException>(() => ring.Load(written, new byte[tail]));
        Assert.Equal("abc", Read(ring, 0, out _));
    }

    private static string Read(ConsoleRing ring, long offset, out long from) =>
        Encoding.ASCII.GetString(ring.Read(offset, int.MaxValue, out from));
}
