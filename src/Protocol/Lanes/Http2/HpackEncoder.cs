using System.Text;

namespace MigrationD.Protocol.Lanes.Http2;

/// <summary>
/// Encodes header blocks without a dynamic table and without Huffman: a lane sends three blocks in its life, and secrets among
/// their values must not enter a table anywhere (literals that are never indexed, RFC 7541, section 6.2.3).
/// </summary>
internal sealed class HpackEncoder
{
    private readonly List<byte> _block = [];

    /// <summary>An encoder of one block. It begins by giving up the dynamic table, which any peer's setting allows.</summary>
    public HpackEncoder() => _block.Add(0x20);

    /// <summary>The block so far.</summary>
    public byte[] ToArray() => [.. _block];

    /// <summary>A field that is an entry of the static table as it stands.</summary>
    public HpackEncoder Indexed(int index)
    {
        _block.Add((byte)(0x80 | index));
        return this;
    }

    /// <summary>A field with a name of the static table (RFC 7541, appendix A).</summary>
    public HpackEncoder Literal(int nameIndex, string value)
    {
        WriteInteger(0x00, 4, nameIndex);
        WriteString(value);
        return this;
    }

    /// <summary>A field with its name spelled out.</summary>
    public HpackEncoder Literal(string name, string value, bool secret = false)
    {
        _block.Add((byte)(secret ? 0x10 : 0x00));
        WriteString(name);
        WriteString(value);
        return this;
    }

    private void WriteString(string text)
    {
        WriteInteger(0x00, 7, text.Length);
        _block.AddRange(Encoding.Latin1.GetBytes(text));
    }

    private void WriteInteger(byte pattern, int prefixBits, int value)
    {
        int mask = (1 << prefixBits) - 1;
        if (value < mask)
        {
            _block.Add((byte)(pattern | value));
            return;
        }

        _block.Add((byte)(pattern | mask));
        for (value -= mask; value >= 0x80; value >>= 7)
        {
            _block.Add((byte)(value | 0x80));
        }

        _block.Add((byte)value);
    }
}
