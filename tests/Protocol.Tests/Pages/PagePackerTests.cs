using System.IO.Compression;
using FsCheck;
using FsCheck.Fluent;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.V1;

namespace MigrationD.Protocol.Tests.Pages;

/// <summary>What is packed comes back as it was; what is not packed, or packed otherwise, does not come at all.</summary>
public sealed class PagePackerTests
{
    private const int Page = 4096;

    // Runs of a byte, of words that count and of noise, as memory is.
    private static readonly Gen<byte[]> Memory =
        from pages in Gen.Choose(1, 8)
        from seed in ArbMap.Default.GeneratorFor<int>()
        select Contents(pages * Page, seed);

    public static TheoryData<PageCompression> Compressions() => [.. PageCompressions.Known];

    [Theory]
    [MemberData(nameof(Compressions))]
    public void What_is_packed_comes_back(PageCompression compression)
    {
        using var packer = new PagePacker(compression);
        using var unpacker = new PageUnpacker(compression);
        Prop.ForAll(Memory.ToArbitrary(), pages =>
        {
            byte[] packed = Pack(packer, pages);
            byte[] back = new byte[pages.Length];
            Assert.True(unpacker.TryUnpack(packed, back));
            Assert.Equal(pages, back);
        }).QuickCheckThrowOnFailure();
    }

    [Theory]
    [MemberData(nameof(Compressions))]
    public void A_block_comes_back_and_shrinks(PageCompression compression)
    {
        using var packer = new PagePacker(compression);
        using var unpacker = new PageUnpacker(compression);
        byte[] pages = new byte[512 * Page];
        for (int i = 0; i < pages.Length; i += 8)
        {
            BitConverter.TryWriteBytes(pages.AsSpan(i), 0x7f31_0000_0000L + i);
        }

        byte[] packed = Pack(packer, pages);
        Assert.InRange(packed.Length, 1, pages.Length / 2);
        byte[] back = new byte[pages.Length];
        Assert.True(unpacker.TryUnpack(packed, back));
        Assert.Equal(pages, back);
    }

    [Theory]
    [MemberData(nameof(Compressions))]
    public void What_does_not_fit_is_not_packed(PageCompression compression)
    {
        using var packer = new PagePacker(compression);
        byte[] noise = new byte[64 * Page];
        new Random(1).NextBytes(noise);
        Assert.Equal(0, packer.Pack(noise, new byte[noise.Length / 8 * 7]));
        byte[] packed = Pack(packer, new byte[Page]);
        Assert.Equal(0, packer.Pack(new byte[Page], new byte[packed.Length - 1]));
        Assert.Equal(packed.Length, packer.Pack(new byte[Page], new byte[Page]));
    }

    [Theory]
    [MemberData(nameof(Compressions))]
    public void Neither_more_nor_less_than_the_pages_is_taken(PageCompression compression)
    {
        using var packer = new PagePacker(compression);
        using var unpacker = new PageUnpacker(compression);
        byte[] packed = Pack(packer, Contents(4 * Page, 3));
        Assert.False(unpacker.TryUnpack(packed, new byte[3 * Page]));
        Assert.False(unpacker.TryUnpack(packed, new byte[5 * Page]));
        Assert.True(unpacker.TryUnpack(packed, new byte[4 * Page]));
        for (int length = 0; length < packed.Length; length += 1 + (packed.Length / 50))
        {
            Assert.False(unpacker.TryUnpack(packed.AsSpan(0, length), new byte[4 * Page]), $"{length} of {packed.Length} bytes");
        }
    }

    /// <summary>A gigabyte of zeros in some kilobytes is cut off at the pages, whatever it says of itself.</summary>
    [Theory]
    [MemberData(nameof(Compressions))]
    public void A_bomb_fills_the_pages_and_nothing_else(PageCompression compression)
    {
        using var packer = new PagePacker(compression);
        using var unpacker = new PageUnpacker(compression);
        byte[] bomb = Pack(packer, new byte[256 << 20]);
        Assert.InRange(bomb.Length, 1, 1 << 20);
        byte[] around = new byte[3 * Page];
        around.AsSpan().Fill(0xee);
        Assert.False(unpacker.TryUnpack(bomb, around.AsSpan(Page, Page)));
        Assert.DoesNotContain(around[..Page], one => one != 0xee);
        Assert.DoesNotContain(around[(2 * Page)..], one => one != 0xee);
    }

    [Theory]
    [MemberData(nameof(Compressions))]
    public void Any_bytes_are_unpacked_to_the_pages_or_refused(PageCompression compression)
    {
        using var packer = new PagePacker(compression);
        using var unpacker = new PageUnpacker(compression);
        Gen<byte[]> mutated =
            from pages in Memory
            from flips in Gen.Choose(1, 4)
            from seed in ArbMap.Default.GeneratorFor<int>()
            select Mutated(Pack(packer, pages), flips, seed);
        Prop.ForAll(Gen.OneOf(mutated, ArbMap.Default.GeneratorFor<byte[]>()).ToArbitrary(), bytes =>
        {
            byte[] around = new byte[4 * Page];
            around.AsSpan().Fill(0xee);
            unpacker.TryUnpack(bytes, around.AsSpan(Page, 2 * Page));
            return !around.AsSpan(0, Page).ContainsAnyExcept((byte)0xee) && !around.AsSpan(3 * Page).ContainsAnyExcept((byte)0xee);
        }).QuickCheckThrowOnFailure();

        // After all that it still works.
        byte[] back = new byte[Page];
        Assert.True(unpacker.TryUnpack(Pack(packer, new byte[Page]), back));
    }

    /// <summary>Its decoder would allocate them before the first byte is out.</summary>
    [Theory]
    [InlineData(22, false)]
    [InlineData(24, false)]
    [InlineData(21, true)]
    [InlineData(16, true)]
    [InlineData(10, true)]
    public void Brotli_with_a_window_of_more_than_a_block_is_refused(int bits, bool isTaken)
    {
        byte[] pages = Contents(Page, 5);
        byte[] packed = new byte[2 * Page];
        Assert.True(BrotliEncoder.TryCompress(pages, packed, out int length, quality: 5, bits));
        using var unpacker = new PageUnpacker(PageCompression.Brotli);
        Assert.Equal(isTaken, unpacker.TryUnpack(packed.AsSpan(0, length), new byte[Page]));
    }

    /// <summary>
    /// One block of a byte repeated, in a frame that says how large its window is (RFC 8878, 3.1.1.1.2): the pages are the window, so it may
    /// say what it likes.
    /// </summary>
    [Theory]
    [InlineData(0x00, true)] // 1 KiB
    [InlineData(0x58, true)] // 2 MiB
    [InlineData(0xa8, true)] // 2 GiB
    [InlineData(0xff, false)] // More than the format allows on any host.
    public void Zstandard_unpacks_a_window_of_any_size_in_the_pages_alone(byte window, bool isTaken)
    {
        using var unpacker = new PageUnpacker(PageCompression.Zstd);
        byte[] pages = new byte[Page];
        byte[] frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, window, 0x03, 0x80, 0x00, 0xab];
        Assert.Equal(isTaken, unpacker.TryUnpack(frame, pages));
        Assert.Equal(isTaken, !pages.AsSpan().ContainsAnyExcept((byte)0xab));
    }

    [Fact]
    public void The_first_that_is_known_is_chosen()
    {
        Assert.Equal(PageCompression.None, PageCompressions.Choose([]));
        Assert.Equal(PageCompression.None, PageCompressions.Choose([(PageCompression)77]));
        Assert.Equal(
            PageCompression.Brotli,
            PageCompressions.Choose([(PageCompression)77, PageCompression.None, PageCompression.Brotli, PageCompression.Zstd]));
        Assert.Equal(PageCompressions.Known[0], PageCompressions.Choose(PageCompressions.Known));
    }

    [Theory]
    [InlineData(PageCompression.None)]
    [InlineData((PageCompression)77)]
    public void What_is_not_known_is_refused(PageCompression compression)
    {
        Assert.Throws<ArgumentException>(() => new PagePacker(compression));
        Assert.Throws<ArgumentException>(() => new PageUnpacker(compression));
    }

    private static byte[] Pack(PagePacker packer, byte[] pages)
    {
        byte[] into = new byte[pages.Length + 1024];
        int length = packer.Pack(pages, into);
        Assert.NotEqual(0, length);
        return into[..length];
    }

    private static byte[] Contents(int bytes, int seed)
    {
        var random = new Random(seed);
        byte[] contents = new byte[bytes];
        for (int i = 0; i < bytes;)
        {
            Span<byte> part = contents.AsSpan(i, Math.Min(random.Next(1, 3000), bytes - i));
            switch (random.Next(3))
            {
                case 0:
                    part.Fill((byte)random.Next(256));
                    break;
                case 1:
                    random.NextBytes(part);
                    break;
                default:
                    for (int at = 0; at < part.Length; at++)
                    {
                        part[at] = (byte)(at % 8 == 0 ? at / 8 : 7);
                    }

                    break;
            }

            i += part.Length;
        }

        return contents;
    }

    private static byte[] Mutated(byte[] bytes, int flips, int seed)
    {
        var random = new Random(seed);
        for (; flips > 0; flips--)
        {
            bytes[random.Next(bytes.Length)] ^= (byte)random.Next(1, 256);
        }

        return bytes;
    }
}
