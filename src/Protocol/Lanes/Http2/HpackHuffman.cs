namespace MigrationD.Protocol.Lanes.Http2;

/// <summary>The Huffman code of HPACK (RFC 7541, section 5.2 and appendix B).</summary>
/// <remarks>
/// The code is canonical: codes of one length count up in the order of their symbols, and the next length goes on from there. So the
/// lengths are the whole code, and a decoder needs for each length only its first code and how many there are.
/// </remarks>
internal static class HpackHuffman
{
    private const int LongestCode = 30;
    private const int EndOfString = 256;

    private static readonly Code Table = new();

    /// <summary>Bits of the code of each byte, and of the end of string as the last.</summary>
    private static ReadOnlySpan<byte> Lengths =>
    [
        13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
        28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
        6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
        5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
        13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
        7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
        15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
        6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
        20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
        24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
        22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
        21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
        26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
        19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
        20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
        26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
        30,
    ];

    /// <summary>Decodes a string; the result is at most 8/5 of the input, the shortest code being 5 bits.</summary>
    /// <exception cref="Http2Exception">The padding is longer than 7 bits or not all ones, or the end of string is in it.</exception>
    public static string Decode(ReadOnlySpan<byte> input)
    {
        var text = new char[input.Length * 8 / 5];
        int length = 0;
        int code = 0;
        int bits = 0;
        foreach (byte octet in input)
        {
            for (int bit = 7; bit >= 0; bit--)
            {
                code = (code << 1) | ((octet >> bit) & 1);
                bits++;
                int symbol = Table.Find(code, bits);
                Http2Exception.ThrowIf(
                    symbol == EndOfString, Http2ErrorCode.CompressionError, "a Huffman string contains the end-of-string symbol");
                if (symbol >= 0)
                {
                    text[length++] = (char)symbol;
                    code = 0;
                    bits = 0;
                }
            }
        }

        Http2Exception.ThrowIf(
            bits > 7 || code != (1 << bits) - 1, Http2ErrorCode.CompressionError, "a Huffman string ends in wrong padding");
        return new string(text, 0, length);
    }

    private sealed class Code
    {
        private readonly int[] _firstCode = new int[LongestCode + 1];
        private readonly int[] _firstSymbol = new int[LongestCode + 1];
        private readonly int[] _count = new int[LongestCode + 1];
        private readonly int[] _symbols = new int[EndOfString + 1];

        public Code()
        {
            int code = 0;
            int next = 0;
            for (int bits = 1; bits <= LongestCode; bits++)
            {
                code <<= 1;
                _firstCode[bits] = code;
                _firstSymbol[bits] = next;
                for (int symbol = 0; symbol <= EndOfString; symbol++)
                {
                    if (Lengths[symbol] == bits)
                    {
                        _symbols[next++] = symbol;
                        _count[bits]++;
                        code++;
                    }
                }
            }
        }

        /// <summary>The symbol of a whole code, or -1 when these bits are the start of a longer one.</summary>
        public int Find(int code, int bits)
        {
            int offset = code - _firstCode[bits];
            return offset >= 0 && offset < _count[bits] ? _symbols[_firstSymbol[bits] + offset] : -1;
        }
    }
}
