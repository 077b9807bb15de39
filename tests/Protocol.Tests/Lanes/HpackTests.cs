using FsCheck;
using FsCheck.Fluent;
using MigrationD.Protocol.Lanes.Http2;

namespace MigrationD.Protocol.Tests.Lanes;

/// <summary>HPACK against the examples of RFC 7541, appendix C, and against everything else.</summary>
public sealed class HpackTests
{
    private const int Unlimited = 1024 * 1024;

    [Theory]
    [InlineData("400a637573746f6d2d6b65790d637573746f6d2d686561646572", "custom-key: custom-header", 55)] // C.2.1
    [InlineData("040c2f73616d706c652f70617468", ":path: /sample/path", 0)] // C.2.2
    [InlineData("100870617373776f726406736563726574", "password: secret", 0)] // C.2.3
    [InlineData("82", ":method: GET", 0)] // C.2.4
    public void Single_fields(string block, string expected, int tableBytes)
    {
        var decoder = new HpackDecoder(Unlimited);
        Assert.Equal([expected], Decode(decoder, block));
        Assert.Equal(tableBytes, decoder.TableBytes);
    }

    // C.3 without and C.4 with Huffman: three requests on one connection.
    [Theory]
    [InlineData(
        "828684410f7777772e6578616d706c652e636f6d",
        "828684be58086e6f2d6361636865",
        "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565")]
    [InlineData("828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf", "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf")]
    public void Requests_with_a_dynamic_table(string first, string second, string third)
    {
        var decoder = new HpackDecoder(Unlimited);
        Assert.Equal([":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"], Decode(decoder, first));
        Assert.Equal(57, decoder.TableBytes);
        Assert.Equal(
            [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com", "cache-control: no-cache"],
            Decode(decoder, second));
        Assert.Equal(110, decoder.TableBytes);
        Assert.Equal(
            [":method: GET", ":scheme: https", ":path: /index.html", ":authority: www.example.com", "custom-key: custom-value"],
            Decode(decoder, third));
        Assert.Equal(164, decoder.TableBytes);
    }

    // C.5 without and C.6 with Huffman: three responses with a table of 256 bytes, so that entries are evicted.
    [Theory]
    [InlineData(
        "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e17687474"
        + "70733a2f2f7777772e6578616d706c652e636f6d",
        "4803333037c1c0bf",
        "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a"
        + "4b48514b425a584f5157454f50495541"
        + "585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31")]
    [InlineData(
        "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
        "4883640effc1c0bf",
        "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960"
        + "d5af27087f3672c1ab270fb5291f9587"
        + "316065c003ed4ee5b1063d5007")]
    public void Responses_with_evictions(string first, string second, string third)
    {
        var decoder = new HpackDecoder(Unlimited, tableLimit: 256);
        Assert.Equal(
            [":status: 302", "cache-control: private", "date: Mon, 21 Oct 2013 20:13:21 GMT", "location: https://www.example.com"],
            Decode(decoder, first));
        Assert.Equal(222, decoder.TableBytes);
        Assert.Equal(
            [":status: 307", "cache-control: private", "date: Mon, 21 Oct 2013 20:13:21 GMT", "location: https://www.example.com"],
            Decode(decoder, second));
        Assert.Equal(222, decoder.TableBytes);
        Assert.Equal(
            [
                ":status: 200", "cache-control: private", "date: Mon, 21 Oct 2013 20:13:22 GMT", "location: https://www.example.com",
                "content-encoding: gzip", "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
            ],
            Decode(decoder, third));
        Assert.Equal(215, decoder.TableBytes);
    }

    [Fact]
    public void Table_of_size_zero_is_obeyed_once_acknowledged()
    {
        var decoder = new HpackDecoder(Unlimited);
        Decode(decoder, "400a637573746f6d2d6b65790d637573746f6d2d686561646572");
        decoder.LimitTable(0);
        Assert.Contains("does not begin by reducing", Refused(decoder, "82").Message, StringComparison.Ordinal);
        Assert.Equal([":method: GET"], Decode(decoder, "2082"));
        Assert.Equal(0, decoder.TableBytes);

        // What is to be indexed is a field like any other, and is not kept.
        Assert.Equal(["custom-key: custom-header"], Decode(decoder, "400a637573746f6d2d6b65790d637573746f6d2d686561646572"));
        Assert.Equal(0, decoder.TableBytes);
        Assert.Contains("there are 61 entries", Refused(decoder, "be").Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("80", "index 0")]
    [InlineData("be", "index 62")]
    [InlineData("ff", "ends inside an integer")]
    [InlineData("ffffffff7f", "too large")]
    [InlineData("ff80808080808080808000", "too large")]
    [InlineData("40", "before a string")]
    [InlineData("000a6162", "a string of 10 bytes")]
    [InlineData("007f", "ends inside an integer")]
    [InlineData("8220", "not at the start")]
    [InlineData("3fe21f", "update to 4097 bytes")]
    [InlineData("0000", "before a string")]
    [InlineData("04810000", "wrong padding")] // '0' of 5 bits, then three zeros where ones have to be
    [InlineData("0482ffff", "wrong padding")] // 16 ones: padding of more than 7 bits
    [InlineData("0484ffffffff", "end-of-string")]
    public void Malformed_blocks_are_refused(string block, string expected)
    {
        var decoder = new HpackDecoder(Unlimited);
        Http2Exception error = Refused(decoder, block);
        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
        Assert.Equal(Http2ErrorCode.CompressionError, error.Code);
    }

    [Fact]
    public void Bomb_is_defused()
    {
        // One entry of nearly the whole table, then a byte for each copy of it: 4 KiB that mean 16 MB.
        byte[] entry = [0x40, 1, (byte)'a', 0x7f, .. Varint(4000 - 127), .. new byte[4000]];
        byte[] bomb = [.. entry, .. Enumerable.Repeat((byte)0xbe, 4000)];
        var error = Assert.Throws<Http2Exception>(() => new HpackDecoder(8192).Decode(bomb));
        Assert.Equal(Http2ErrorCode.EnhanceYourCalm, error.Code);
    }

    [Fact]
    public void What_the_encoder_writes_reads_the_same()
    {
        Gen<string> text = Gen.Choose(32, 126).Select(c => (char)c).ArrayOf().Select(chars => new string(chars));
        Gen<(string, string)> field = text.Two().Select(pair => (pair.Item1, pair.Item2));
        Prop.ForAll(field.ArrayOf().ToArbitrary(), fields =>
        {
            var encoder = new HpackEncoder();
            foreach ((string name, string value) in fields)
            {
                encoder.Literal(name, value, secret: value.Length % 2 == 0);
            }

            List<HeaderField> read = new HpackDecoder(Unlimited).Decode(encoder.ToArray());
            return read.Select(one => (one.Name, one.Value)).SequenceEqual(fields);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Any_bytes_are_read_or_refused()
    {
        Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), block =>
        {
            try
            {
                List<HeaderField> fields = new HpackDecoder(8192).Decode(block);
                return fields.Sum(field => field.Size) <= 8192;
            }
            catch (Http2Exception error)
            {
                return error.Message.Length != 0;
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(2000));
    }

    private static byte[] Varint(int value)
    {
        var bytes = new List<byte>();
        for (; value >= 0x80; value >>= 7)
        {
            bytes.Add((byte)(value | 0x80));
        }

        return [.. bytes, (byte)value];
    }

    private static string[] Decode(HpackDecoder decoder, string hex) =>
        [.. decoder.Decode(Convert.FromHexString(hex)).Select(field => $"{field.Name}: {field.Value}")];

    private static Http2Exception Refused(HpackDecoder decoder, string hex) =>
        Assert.Throws<Http2Exception>(() => decoder.Decode(Convert.FromHexString(hex)));
}
