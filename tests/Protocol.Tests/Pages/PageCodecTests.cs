using FsCheck;
using FsCheck.Fluent;
using Google.Protobuf;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.Tests.Lanes;
using MigrationD.Protocol.V1;

namespace MigrationD.Protocol.Tests.Pages;

/// <summary>
/// The codec written by hand and the generated types say the same, in both directions; and what is malformed goes nowhere.
/// </summary>
public sealed class PageCodecTests
{
    private static readonly Gen<PageRunHeader> Marks =
        from block in Numbers(uint.MaxValue)
        from mark in Gen.Elements(PrecopyMark.RoundEnded, PrecopyMark.PrecopyEnded)
        select new PageRunHeader((uint)block, 0, 0, IsZero: false, Mark: mark);

    private static readonly Gen<PageRunHeader> Runs =
        from block in Numbers(uint.MaxValue)
        from zero in ArbMap.Default.GeneratorFor<bool>()
        from first in Numbers(ulong.MaxValue >> 1)
        from count in zero ? Numbers(uint.MaxValue) : Gen.Choose(1, 512 - (int)(first % 512)).Select(n => (ulong)n)
        from huge in ArbMap.Default.GeneratorFor<bool>()
        from compression in zero ? Gen.Constant(PageCompression.None) : Gen.Elements(Enum.GetValues<PageCompression>())
        from packed in compression == PageCompression.None ? Gen.Constant(0) : Gen.Choose(1, ((int)Math.Max(1, count) * 4096) - 1)
        select new PageRunHeader((uint)block, first, Math.Max(1, (uint)count), zero, huge, PrecopyMark.None, compression, packed);

    private static readonly Gen<PageRunHeader> Headers = Gen.Frequency((9, Runs), (1, Marks));

    [Fact]
    public void Run_is_written_as_the_generated_type_writes_it()
    {
        Prop.ForAll(Headers.ToArbitrary(), header =>
        {
            byte[] data = Data(header);
            Span<byte> head = stackalloc byte[PageRunCodec.MaxHeadBytes];
            int length = PageRunCodec.Encode(header, head);
            Assert.Equal<byte>(Generated(header, data).ToByteArray(), (byte[])[.. head[..length], .. data]);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Run_of_the_generated_type_is_read()
    {
        Prop.ForAll(Headers.ToArbitrary(), header =>
        {
            byte[] data = Data(header);
            using LaneCall call = Receive(Generated(header, data).ToByteArray());
            Assert.Equal(header, PageRunCodec.ReadHeader(call));
            Assert.Equal(header.DataLength, call.MessageRemaining);
            var read = new byte[header.DataLength];
            call.Read(read);
            Assert.Equal(data, read);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Request_is_written_and_read_as_the_generated_type_does()
    {
        Gen<PageAddress> requests =
            from block in Numbers(uint.MaxValue)
            from page in Numbers(ulong.MaxValue)
            select new PageAddress((uint)block, page);
        Prop.ForAll(requests.ToArbitrary(), request =>
        {
            byte[] generated = new PageRequest { RamBlock = request.RamBlock, Page = request.Page }.ToByteArray();
            Span<byte> written = stackalloc byte[PageRequestCodec.MaxBytes];
            Assert.Equal(generated, written[..PageRequestCodec.Encode(request, written)].ToArray());
            using LaneCall call = Receive(generated);
            Assert.Equal(request, PageRequestCodec.Read(call));
            Assert.Equal(0, call.MessageRemaining);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Unknown_fields_are_passed_over()
    {
        using LaneCall call = Receive([.. Unknown(), 8, 3, 16, 5, .. Unknown(), 24, 1, 32, 1]);
        Assert.Equal(new PageRunHeader(3, 5, 1, IsZero: true), PageRunCodec.ReadHeader(call));
        using LaneCall request = Receive([.. Unknown(), 16, 5, .. Unknown()]);
        Assert.Equal(new PageAddress(0, 5), PageRequestCodec.Read(request));

        // One of each wire type, with field number 100.
        static byte[] Unknown() => [0xa0, 6, 0xff, 1, 0xa1, 6, 1, 2, 3, 4, 5, 6, 7, 8, 0xa2, 6, 3, 1, 2, 3, 0xa5, 6, 1, 2, 3, 4];
    }

    public static TheoryData<byte[], string> Malformed() => new()
    {
        { [], "a run of 0 pages" },
        { [8, 1], "a run of 0 pages" },
        { [24, 1], "0 bytes of data for 1 pages" },
        { [24, 1, 122, 0], "0 bytes of data for 1 pages" },
        { [24, 1, 122, 5, 1, 2, 3, 4, 5], "5 bytes of data for 1 pages" },
        { [24, 1, 32, 1, 122, 1, 9], "1 bytes of data for 1 pages of zeros" },
        { [24, 1, 122, 2, 1, 2, 3], "it has to be the last field" },
        { [48, 3], "a mark of precopy that is unknown, 3" },
        { [48, 1, 24, 1], "a mark of precopy with 1 pages" },
        { [48, 2, 32, 1], "a mark of precopy with 0 pages" },
        { [48, 1, 122, 1, 0], "1 bytes of data for 0 pages" },
        { [24, 1, 56, 1], "0 bytes of packed data for 1 pages" },
        { [24, 1, 56, 1, 122, 0], "0 bytes of packed data for 1 pages" },
        { [24, 1, 56, 1, 122, 0x80, 0x20, .. new byte[4096]], "4096 bytes of packed data for 1 pages" },
        { [24, 1, 56, 3, 122, 1, 0], "data packed in a way that is unknown, 3" },
        { [24, 1, 32, 1, 56, 1], "pages of zeros that are packed" },
        { [48, 1, 56, 1], "a mark of precopy that is packed" },
        { [24, 1, 122, 1, 0, 56, 1], "it has to be the last field" },
        { [24, 1, 122, 0, 122, 1, 0], "it has to be the last field" },
        { [24, 1, 122, 0x80, 0x20], "4096 bytes and 0 bytes of the message are left" },
        { [24, 1, 122, 0xff, 0xff, 0xff, 0xff, 0x0f], "4294967295 bytes" },
        { [24, 1, 122, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], "18446744073709551615 bytes" },
        { [24, 0x81, 4], "a run of 513 pages with data" },
        { [16, 0xff, 3, 24, 2], "across a boundary" },
        { [24, 0x80, 0x80, 0x80, 0x80, 0x10], "more than 32 bits" },
        { [16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 24, 1, 32, 1], "beyond any memory" },
        { [24], "ends inside a number" },
        { [24, 0x80], "ends inside a number" },
        { [16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], "more than 64 bits" },
        { [16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], "more than 64 bits" },
        { [0, 1], "a tag of 0x0" },
        { [0xff, 0xff, 0xff, 0xff, 0x7f, 0], "a tag of" },
        { [26, 1, 1], "wire type 2" },
        { [120, 1], "wire type 0" },
        { [0xa3, 6], "wire type 3" },
        { [0xa7, 6], "wire type 7" },
        { [0xa2, 6, 5, 1], "a field of 5 bytes, and 1 bytes" },
        { [0xa1, 6, 1], "a field of 8 bytes, and 1 bytes" },
    };

    [Theory]
    [MemberData(nameof(Malformed))]
    public void Malformed_run_ends_the_call(byte[] message, string expected)
    {
        using LaneCall call = Receive(message);
        var error = Assert.Throws<LaneException>(() => PageRunCodec.ReadHeader(call));
        Assert.Equal(LaneFailure.ProtocolError, error.Kind);
        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
        Assert.Throws<LaneException>(() => call.TryReadMessage(out _));
    }

    [Fact]
    public void Any_bytes_are_read_as_the_generated_type_reads_them_or_refused()
    {
        // Bytes that look like fields get further than bytes that do not.
        Gen<byte[]> likely = Gen.Elements<byte>(0, 1, 2, 5, 8, 16, 24, 32, 48, 56, 122, 0x80, 0xff, 0xa2, 6).ArrayOf();
        Prop.ForAll(Gen.OneOf(likely, ArbMap.Default.GeneratorFor<byte[]>()).ToArbitrary(), message =>
        {
            using LaneCall call = Receive(message);
            try
            {
                PageRunHeader header = PageRunCodec.ReadHeader(call);
                Assert.Equal(header.DataLength, call.MessageRemaining);
                PageRun generated = PageRun.Parser.ParseFrom(message);
                Assert.Equal(
                    (generated.RamBlock, generated.FirstPage, generated.PageCount, generated.Zero, generated.Mark, generated.Compression),
                    (header.RamBlock, header.FirstPage, header.PageCount, header.IsZero, header.Mark, header.Compression));
            }
            catch (LaneException error)
            {
                Assert.Equal(LaneFailure.ProtocolError, error.Kind);
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(3000));
    }

    [Theory]
    [InlineData(0ul, 0u, false)]
    [InlineData(0ul, 513u, false)]
    [InlineData(511ul, 2u, false)]
    [InlineData(ulong.MaxValue, 1u, true)]
    public void Run_that_breaks_a_rule_is_not_written(ulong first, uint count, bool zero) =>
        Assert.Throws<ArgumentException>(() => PageRunCodec.Encode(new PageRunHeader(0, first, count, zero), new byte[64]));

    [Fact]
    public void Longest_head_fits()
    {
        var head = new byte[PageRunCodec.MaxHeadBytes];
        PageRunCodec.Encode(new PageRunHeader(uint.MaxValue, ulong.MaxValue - uint.MaxValue, uint.MaxValue, IsZero: true), head);
        PageRunCodec.Encode(new PageRunHeader(uint.MaxValue, ulong.MaxValue - 511 - 512, 512, IsZero: false, IsHuge: true), head);
        PageRunCodec.Encode(
            new PageRunHeader(
                uint.MaxValue, ulong.MaxValue - 511 - 512, 512, IsZero: false, IsHuge: true, PrecopyMark.None, PageCompression.Brotli,
                (2 * 1024 * 1024) - 1),
            head);
        PageRunCodec.Encode(new PageRunHeader(uint.MaxValue, ulong.MaxValue, 0, IsZero: false, IsHuge: true, PrecopyMark.PrecopyEnded), head);
        PageRequestCodec.Encode(new PageAddress(uint.MaxValue, ulong.MaxValue), new byte[PageRequestCodec.MaxBytes]);
    }

    /// <summary>Numbers of all magnitudes, the edges among them.</summary>
    private static Gen<ulong> Numbers(ulong most) =>
        from bits in Gen.Choose(0, 64)
        from value in ArbMap.Default.GeneratorFor<ulong>().Resize(1 << 20)
        from edge in Gen.Elements(0ul, most, 1ul << Math.Min(63, bits), value * 0x9e37_79b9_7f4a_7c15)
        select Math.Min(most, bits == 64 ? edge : edge & ((1ul << bits) - 1));

    private static byte[] Data(PageRunHeader header)
    {
        var data = new byte[header.DataLength];
        new Random((int)header.PageCount).NextBytes(data);
        return data;
    }

    private static PageRun Generated(PageRunHeader header, byte[] data) => new()
    {
        RamBlock = header.RamBlock,
        FirstPage = header.FirstPage,
        PageCount = header.PageCount,
        Zero = header.IsZero,
        Huge = header.IsHuge,
        Mark = header.Mark,
        Compression = header.Compression,
        Data = ByteString.CopyFrom(data),
    };

    /// <summary>A call that stands at the start of this message.</summary>
    private static LaneCall Receive(byte[] message)
    {
        byte[] stream = [.. RawPeer.Opening(), .. RawPeer.Data(RawPeer.Message(message))];
        LaneCall call = LaneCall.Greet(new ScriptedTransport(stream, () => 100_000), new LaneOptions());
        Assert.True(call.TryReadMessage(out int length));
        Assert.Equal(message.Length, length);
        return call;
    }
}
