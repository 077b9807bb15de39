using System.Diagnostics.CodeAnalysis;

namespace MigrationD.Daemon.Notation;

/// <summary>A number of bytes as people write it: <c>256MiB</c>, <c>1 GiB</c>, <c>4096</c>. Units are powers of 1024.</summary>
/// <param name="Bytes">The number; never negative.</param>
internal readonly record struct ByteSize(long Bytes)
{
    private static readonly (string Suffix, int Shift)[] Units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];

    /// <summary>Reads a size; false when the text is none or does not fit.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out ByteSize size)
    {
        size = default;
        if (string.IsNullOrWhiteSpace(text))
        {
            return false;
        }

        var (number, shift) = (text.Trim(), 0);
        foreach (var unit in Units)
        {
            if (number.EndsWith(unit.Suffix, StringComparison.OrdinalIgnoreCase))
            {
                (number, shift) = (number[..^unit.Suffix.Length].TrimEnd(), unit.Shift);
                break;
            }
        }

        if (!long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var count) || count > long.MaxValue >> shift)
        {
            return false;
        }

        size = new ByteSize(count << shift);
        return true;
    }

    /// <summary>Writes it exactly, in the largest unit that divides it: <c>256MiB</c>, <c>4097</c>.</summary>
    public override string ToString()
    {
        var bytes = Bytes;
        var unit = Array.Find(Units, unit => bytes != 0 && bytes % (1L << unit.Shift) == 0);
        return unit.Suffix is null
            ? bytes.ToString(CultureInfo.InvariantCulture)
            : (bytes >> unit.Shift).ToString(CultureInfo.InvariantCulture) + unit.Suffix;
    }

    /// <summary>Writes it for reading, not exactly: one decimal in the largest unit that the size reaches, e.g. <c>31.4 MiB</c>.</summary>
    public string ToRoundedString()
    {
        var bytes = Bytes;
        var unit = Array.Find(Units, unit => bytes >= 1L << unit.Shift);
        return unit.Suffix is null
            ? string.Create(CultureInfo.InvariantCulture, $"{bytes} B")
            : string.Create(CultureInfo.InvariantCulture, $"{(double)bytes / (1L << unit.Shift):0.0} {unit.Suffix}");
    }
}
