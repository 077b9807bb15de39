using System.Globalization;
using System.Text;

namespace MigrationD.Protocol.Wire;

/// <summary>
/// The value of <c>grpc-message</c>: UTF-8, with every byte but printable ASCII, and the percent sign itself, as <c>%XX</c>
/// (grpc/doc/PROTOCOL-HTTP2.md, "Percent-Encoded").
/// </summary>
internal static class GrpcStatusMessage
{
    /// <summary>
    /// Encodes <paramref name="message"/>, whole characters only, until the next one would take the value past
    /// <paramref name="maxBytes"/>. A lone surrogate becomes U+FFFD.
    /// </summary>
    public static string Encode(string message, int maxBytes = int.MaxValue)
    {
        var encoded = new StringBuilder(message.Length);
        Span<byte> utf8 = stackalloc byte[4];
        int index = 0;
        foreach (Rune rune in message.EnumerateRunes())
        {
            // HTTP strips blanks from both ends of a header's value, so there they are escaped.
            bool edge = index == 0 || index + rune.Utf16SequenceLength == message.Length;
            index += rune.Utf16SequenceLength;

            bool plain = rune.Value is > 0x20 and <= 0x7e and not '%' || (rune.Value == 0x20 && !edge);
            int length = plain ? 1 : 3 * rune.Utf8SequenceLength;
            if (encoded.Length + length > maxBytes)
            {
                break;
            }

            if (plain)
            {
                encoded.Append((char)rune.Value);
                continue;
            }

            foreach (byte one in utf8[..rune.EncodeToUtf8(utf8)])
            {
                encoded.Append(CultureInfo.InvariantCulture, $"%{one:X2}");
            }
        }

        return encoded.ToString();
    }

    /// <summary>Shortens a message to what <see cref="Encode"/> has room for in <paramref name="maxBytes"/>.</summary>
    public static string Shorten(string message, int maxBytes) =>
        3 * Encoding.UTF8.GetByteCount(message) <= maxBytes ? message : Decode(Encode(message, maxBytes));

    /// <summary>
    /// Decodes a value. Never fails, as the protocol asks: a percent sign that begins no escape stays as it is, and bytes that are no
    /// UTF-8 become U+FFFD.
    /// </summary>
    public static string Decode(string value)
    {
        if (!value.Contains('%', StringComparison.Ordinal) && Ascii.IsValid(value))
        {
            return value;
        }

        ReadOnlySpan<byte> raw = Encoding.UTF8.GetBytes(value);
        byte[] decoded = new byte[raw.Length];
        int length = 0;
        for (int i = 0; i < raw.Length; i++)
        {
            if (raw[i] == '%' && i + 2 < raw.Length
                && byte.TryParse(raw.Slice(i + 1, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte one))
            {
                decoded[length++] = one;
                i += 2;
            }
            else
            {
                decoded[length++] = raw[i];
            }
        }

        return Encoding.UTF8.GetString(decoded, 0, length);
    }
}
