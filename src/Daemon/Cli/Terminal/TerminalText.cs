using System.Buffers;
using System.Text;

namespace MigrationD.Daemon.Cli.Terminal;

/// <summary>
/// Turns bytes that a stranger wrote into text that a terminal shows and does not obey. Printable UTF-8, tabs and ends of lines stay; every
/// other byte becomes <c>\xNN</c>: escape sequences, a carriage return that would write over a line, marks that turn the direction of text.
/// </summary>
internal sealed class TerminalText
{
    // The longest sequence of UTF-8 but its last byte.
    private readonly byte[] _held = new byte[3];
    private int _heldLength;

    /// <summary>The next bytes. A character that is cut in the middle, or a carriage return at the end, is held until more comes.</summary>
    public string Show(ReadOnlySpan<byte> bytes) => Show([.. _held.AsSpan(0, _heldLength), .. bytes], isEnd: false);

    /// <summary>What is held and will not be completed.</summary>
    public string Finish() => Show(_held.AsSpan(0, _heldLength).ToArray(), isEnd: true);

    private static bool IsPrintable(Rune rune) => Rune.GetUnicodeCategory(rune) is not (UnicodeCategory.Control or UnicodeCategory.Format
        or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned or UnicodeCategory.LineSeparator
        or UnicodeCategory.ParagraphSeparator);

    private static void Escape(StringBuilder text, ReadOnlySpan<byte> bytes)
    {
        foreach (byte value in bytes)
        {
            text.Append(CultureInfo.InvariantCulture, $"\\x{value:x2}");
        }
    }

    private string Show(byte[] all, bool isEnd)
    {
        var text = new StringBuilder(all.Length);
        ReadOnlySpan<byte> left = all;
        _heldLength = 0;
        while (!left.IsEmpty)
        {
            bool isReturn = left[0] == '\r';
            if (left[0] is (byte)'\n' or (byte)'\t')
            {
                text.Append((char)left[0]);
                left = left[1..];
                continue;
            }

            if (isReturn && left.Length > 1 && left[1] == '\n')
            {
                left = left[1..];
                continue;
            }

            OperationStatus status = Rune.DecodeFromUtf8(left, out Rune rune, out int length);
            if (!isEnd && (status == OperationStatus.NeedMoreData || (isReturn && left.Length == 1)))
            {
                left.CopyTo(_held);
                _heldLength = left.Length;
                break;
            }

            if (status == OperationStatus.Done && IsPrintable(rune))
            {
                text.Append(rune.ToString());
            }
            else
            {
                Escape(text, left[..length]);
            }

            left = left[length..];
        }

        return text.ToString();
    }
}
