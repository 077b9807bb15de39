using System.Text;

namespace MigrationD.Protocol.Lanes.Http2;

/// <summary>
/// Decodes header blocks (RFC 7541). A lane announces a dynamic table of size 0, but a client may send its request before it has seen
/// that, so the first blocks may use a table of the protocol's default size.
/// </summary>
/// <param name="maxListBytes">The largest list that is decoded; see <see cref="LaneOptions.MaxHeaderListBytes"/>.</param>
/// <param name="tableLimit">The largest table that blocks may use at first.</param>
internal sealed class HpackDecoder(int maxListBytes, int tableLimit = HpackDecoder.DefaultTableSize)
{
    /// <summary>The size of the dynamic table before any setting (RFC 9113, section 6.5.2), in bytes.</summary>
    public const int DefaultTableSize = 4096;

    // Newest first, as the indices go.
    private readonly List<HeaderField> _table = [];
    private int _tableMax = tableLimit;
    private int _tableLimit = tableLimit;

    /// <summary>How many bytes the dynamic table holds.</summary>
    public int TableBytes { get; private set; }

    /// <summary>The peer has acknowledged a smaller table; its next block must begin by saying so (RFC 7541, section 4.2).</summary>
    public void LimitTable(int bytes) => _tableLimit = bytes;

    /// <summary>Decodes one complete block into its fields, in their order.</summary>
    /// <exception cref="Http2Exception">The block is malformed or its list is too large.</exception>
    public List<HeaderField> Decode(ReadOnlySpan<byte> block)
    {
        var fields = new List<HeaderField>();
        int listBytes = 0;
        bool updatesAllowed = true;
        while (!block.IsEmpty)
        {
            byte first = block[0];
            if ((first & 0xe0) == 0x20)
            {
                Http2Exception.ThrowIf(
                    !updatesAllowed, Http2ErrorCode.CompressionError, "a table size update is not at the start of its header block");
                Resize(ReadInteger(ref block, 5));
                continue;
            }

            Http2Exception.ThrowIf(
                _tableMax > _tableLimit,
                Http2ErrorCode.CompressionError,
                $"the header block does not begin by reducing its dynamic table to {_tableLimit} bytes");
            updatesAllowed = false;
            HeaderField field = ReadField(first, ref block);
            listBytes += field.Size;
            Http2Exception.ThrowIf(
                listBytes > maxListBytes, Http2ErrorCode.EnhanceYourCalm, $"the header list is longer than {maxListBytes} bytes");
            fields.Add(field);
        }

        return fields;
    }

    private HeaderField ReadField(byte first, ref ReadOnlySpan<byte> block)
    {
        if ((first & 0x80) != 0)
        {
            return Lookup(ReadInteger(ref block, 7));
        }

        bool indexed = (first & 0x40) != 0;
        int nameIndex = ReadInteger(ref block, indexed ? 6 : 4);
        string name = nameIndex == 0 ? ReadString(ref block) : Lookup(nameIndex).Name;
        var field = new HeaderField(name, ReadString(ref block));
        if (indexed)
        {
            Add(field);
        }

        return field;
    }

    private HeaderField Lookup(int index)
    {
        if (index >= 1 && index <= HpackStaticTable.Count)
        {
            return HpackStaticTable.Get(index);
        }

        int dynamic = index - HpackStaticTable.Count - 1;
        return index != 0 && dynamic < _table.Count
            ? _table[dynamic]
            : throw Malformed($"a header field has index {index}, and there are {HpackStaticTable.Count + _table.Count} entries");
    }

    private void Add(HeaderField field)
    {
        Evict(Math.Max(0, _tableMax - field.Size));
        if (field.Size <= _tableMax)
        {
            _table.Insert(0, field);
            TableBytes += field.Size;
        }
    }

    private void Resize(int bytes)
    {
        Http2Exception.ThrowIf(
            bytes > _tableLimit, Http2ErrorCode.CompressionError, $"a table size update to {bytes} bytes, and {_tableLimit} are allowed");
        _tableMax = bytes;
        Evict(bytes);
    }

    private void Evict(int downTo)
    {
        while (TableBytes > downTo)
        {
            TableBytes -= _table[^1].Size;
            _table.RemoveAt(_table.Count - 1);
        }
    }

    private static int ReadInteger(ref ReadOnlySpan<byte> block, int prefixBits)
    {
        int mask = (1 << prefixBits) - 1;
        int value = block[0] & mask;
        block = block[1..];
        if (value < mask)
        {
            return value;
        }

        // Three bytes of 7 bits reach two million: more than any length or index that a bounded block can need.
        for (int shift = 0; shift <= 14; shift += 7)
        {
            Http2Exception.ThrowIf(block.IsEmpty, Http2ErrorCode.CompressionError, "a header block ends inside an integer");
            byte octet = block[0];
            block = block[1..];
            value += (octet & 0x7f) << shift;
            if ((octet & 0x80) == 0)
            {
                return value;
            }
        }

        throw Malformed("an integer of a header block is too large");
    }

    private static string ReadString(ref ReadOnlySpan<byte> block)
    {
        Http2Exception.ThrowIf(block.IsEmpty, Http2ErrorCode.CompressionError, "a header block ends before a string");
        bool huffman = (block[0] & 0x80) != 0;
        int length = ReadInteger(ref block, 7);
        Http2Exception.ThrowIf(
            length > block.Length,
            Http2ErrorCode.CompressionError,
            $"a string of {length} bytes in a header block of which {block.Length} bytes are left");
        ReadOnlySpan<byte> text = block[..length];
        block = block[length..];
        return huffman ? HpackHuffman.Decode(text) : Encoding.Latin1.GetString(text);
    }

    private static Http2Exception Malformed(string message) => new(Http2ErrorCode.CompressionError, message);
}
