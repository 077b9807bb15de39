using System.Text;

namespace MigrationD.Protocol.Lanes.Http2;

/// <summary>
/// Encodes header blocks without a dynamic table and without Huffman: a lane sends three blocks in its life, and secrets among
/// their values must not enter a table anywhere (literals that are never indexed, RFC 7541, section 6.2.3).
/// </summary>
internal sealed class HpackEncoder
{
    private readonly List<byte> _block = [];

    /// <summary>Begins a block by giving up the dynamic table, which any peer's setting allows.</summary>
    public HpackEncoder() => _block.Add(0x20);

    public byte[] ToArray() => [.. _block];

    /// <summary>Adds a field that is an entry of the static table as it stands.</summary>
    public HpackEncoder Indexed(int index)
    {
        _block.Add((byte)(0x80 | index));
        return this;
    }

    /// <summary>Adds a field with a name of the static table (RFC 7541, appendix A).</summary>
    public HpackEncoder Literal(int nameIndex, string value)
    {
        WriteInteger(4, nameIndex);
        WriteString(value);
        return this;
    }

    /// <summary>Adds a field with its name spelled out.</summary>
    public HpackEncoder Literal(string name, string value, bool secret = false)
    {
        _block.Add((byte)(secret ? 0x10 : 0x00));
        WriteString(name);
        WriteString(value);
        return this;
    }

    private void WriteString(string text)
    {
        WriteInteger(7, text.Length);
        _block.AddRange(Encoding.Latin1.GetBytes(text));
    }

    private void WriteInteger(int prefixBits, int value)
    {
        int mask = (1 << prefixBits) - 1;
        if (value < mask)
        {
            _block.Add((byte)value);
            return;
        }

        _block.Add((byte)mask);
        for (value -= mask; value >= 0x80; value >>= 7)
        {
            _block.Add((byte)(value | 0x80));
        }

        _block.Add((byte)value);
    }
}
