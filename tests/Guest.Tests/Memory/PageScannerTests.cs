using FsCheck;
using FsCheck.Fluent;

namespace MigrationD.Guest.Tests.Memory;

public sealed class PageScannerTests
{
    private const int Blocks = 3;
    private const int Pages = Blocks * GuestPage.PerBlock;

    private enum Touch
    {
        ReadOnly,
        ZerosWritten,
        FirstByte,
        LastByte,
        Everything,
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Runs_are_those_of_a_shadow_copy(bool withPagemap)
    {
        Gen<(int Page, int Count, Touch Touch)> touch =
            from page in Gen.Choose(0, Pages - 1)
            from count in Gen.Choose(1, Math.Min(8, Pages - page))
            from kind in Gen.Elements(Enum.GetValues<Touch>())
            select (page, count, kind);
        Gen<Input> generator =
            from touches in touch.ArrayOf()
            from first in Gen.Choose(0, Pages - 1)
            from count in Gen.Choose(1, Pages - first)
            from capacity in Gen.Elements(1, 2, 5, Pages)
            from huge in Gen.Elements(true, false)
            select new Input(touches, first, count, capacity, huge);
        Prop.ForAll(generator.ToArbitrary(), input =>
        {
            using GuestMemory memory = GuestMemory.Map((long)Blocks * GuestPage.BlockSize);
            memory.AllowHugeFaults(input.Huge);
            byte[] shadow = new byte[memory.Length];
            foreach ((int page, int count, Touch kind) in input.Touches)
            {
                Apply(memory, shadow, page, count, kind);
            }

            using var scanner = new PageScanner(memory, withPagemap ? Pagemap.TryOpen() : null);
            Assert.Equal(Expected(shadow, input.First, input.Count), ScanAll(scanner, input));
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Memory_that_was_never_touched_is_zeros_and_stays_untouched()
    {
        using GuestMemory memory = GuestMemory.Map(256L * GuestPage.BlockSize);
        memory.Write(100L * GuestPage.BlockSize, [1]);
        using Pagemap pagemap = Pagemap.TryOpen()!;
        using var scanner = new PageScanner(memory);
        var runs = new PageRun[8];
        int pages = (int)memory.PageCount;

        int count = scanner.Scan(0, pages, runs);

        int touched = 100 * GuestPage.PerBlock;
        Assert.Equal([new(0, touched, true), new(touched, 1, false), new(touched + 1, pages - touched - 1, true)], runs.Take(count));
        Assert.False(pagemap.AnyTouched(memory.Address, memory.AddressOf(touched)));
        Assert.False(pagemap.AnyTouched(memory.AddressOf(touched + GuestPage.PerBlock), memory.Address + (nint)memory.Length));
    }

    [Fact]
    public void Ranges_outside_are_refused()
    {
        using GuestMemory memory = GuestMemory.Map(GuestPage.BlockSize);
        using var scanner = new PageScanner(memory);
        var runs = new PageRun[4];

        Assert.Throws<ArgumentOutOfRangeException>(() => scanner.Scan(-1, 1, runs));
        Assert.Throws<ArgumentOutOfRangeException>(() => scanner.Scan(0, 0, runs));
        Assert.Throws<ArgumentOutOfRangeException>(() => scanner.Scan(0, 513, runs));
        Assert.Throws<ArgumentOutOfRangeException>(() => scanner.Scan(512, 1, runs));
        Assert.Throws<ArgumentException>(() => scanner.Scan(0, 1, []));
    }

    [Fact]
    public void Scanning_allocates_nothing()
    {
        using GuestMemory memory = GuestMemory.Map(GuestPage.BlockSize);
        memory.Write(5000, [1]);
        using var scanner = new PageScanner(memory);
        var runs = new PageRun[GuestPage.PerBlock];
        _ = scanner.Scan(0, GuestPage.PerBlock, runs);

        Assert.Equal(0, Allocations.Of(() => _ = scanner.Scan(0, GuestPage.PerBlock, runs)));
    }

    private static List<PageRun> ScanAll(PageScanner scanner, Input input)
    {
        // With too little room a scan covers the front of the range and is called again; a run may then be cut in two nowhere.
        var runs = new List<PageRun>();
        var into = new PageRun[input.Capacity];
        int page = input.First;
        int end = input.First + input.Count;
        while (page < end)
        {
            int count = scanner.Scan(page, end - page, into);
            Assert.InRange(count, 1, input.Capacity);
            runs.AddRange(into.Take(count));
            page = (int)into[count - 1].FirstPage + into[count - 1].PageCount;
        }

        return runs;
    }

    private static List<PageRun> Expected(byte[] shadow, int first, int count)
    {
        var runs = new List<PageRun>();
        for (int page = first; page < first + count; page++)
        {
            bool isZero = shadow.AsSpan(page * GuestPage.Size, GuestPage.Size).IndexOfAnyExcept((byte)0) < 0;
            if (runs.Count > 0 && runs[^1].IsZero == isZero)
            {
                runs[^1] = runs[^1] with { PageCount = runs[^1].PageCount + 1 };
            }
            else
            {
                runs.Add(new PageRun(page, 1, isZero));
            }
        }

        return runs;
    }

    private static void Apply(GuestMemory memory, byte[] shadow, int page, int count, Touch kind)
    {
        for (int i = page; i < page + count; i++)
        {
            int offset = i * GuestPage.Size;
            Span<byte> model = shadow.AsSpan(offset, GuestPage.Size);
            switch (kind)
            {
                case Touch.ReadOnly:
                    memory.Read(offset, new byte[1]);
                    continue;
                case Touch.ZerosWritten:
                    model.Clear();
                    break;
                case Touch.FirstByte:
                    model[0] = 1;
                    break;
                case Touch.LastByte:
                    model[^1] = 0x80;
                    break;
                default:
                    model.Fill(0xFF);
                    break;
            }

            memory.Write(offset, model);
        }
    }

    private sealed record Input((int Page, int Count, Touch Touch)[] Touches, int First, int Count, int Capacity, bool Huge);
}
