namespace MigrationD.Daemon.Notation;

/// <summary>
/// A rate as people write it: <c>500MiB/s</c>, <c>62.5MB/s</c>, <c>1Gbit</c>, <c>100Mbit/s</c>, or <c>unlimited</c>. Bits and MB are powers
/// of 1000, MiB of 1024.
/// </summary>
/// <param name="BytesPerSecond">Bytes a second; 0 for no limit.</param>
internal readonly record struct Bandwidth(ulong BytesPerSecond)
{
    /// <summary>The word for no limit; 0 means the same.</summary>
    public const string Unlimited = "unlimited";

    /// <summary>What a text has to be, for an error.</summary>
    public const string Forms =
        "use a number with KiB/s, MiB/s, GiB/s, kB/s, MB/s, GB/s, kbit, Mbit or Gbit, e.g. 500MiB/s or 1Gbit, of at least 1KiB/s; "
        + "0 or 'unlimited' for no limit";

    private const double Least = 1024;
    private const double Most = 1L << 50;

    // Upper and lower case count: Mb would be read as either.
    private static readonly (string Suffix, double Bytes)[] Units =
    [
        ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("kB", 1e3), ("MB", 1e6), ("GB", 1e9), ("kbit", 1e3 / 8), ("Mbit", 1e6 / 8),
        ("Gbit", 1e9 / 8),
    ];

    /// <summary>Reads a rate; false when the text is none, or no migration can keep to it.</summary>
    public static bool TryParse(string text, out Bandwidth bandwidth)
    {
        bandwidth = default;
        string rate = text.Trim();
        if (rate == "0" || rate.Equals(Unlimited, StringComparison.OrdinalIgnoreCase))
        {
            return true;
        }

        if (rate.EndsWith("/s", StringComparison.OrdinalIgnoreCase))
        {
            rate = rate[..^2];
        }

        foreach ((string suffix, double bytes) in Units)
        {
            if (rate.EndsWith(suffix, StringComparison.Ordinal))
            {
                bool isNumber = double.TryParse(
                    rate[..^suffix.Length].TrimEnd(), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double count);
                bandwidth = new Bandwidth(isNumber && count * bytes is >= Least and <= Most ? (ulong)(count * bytes) : 0);
                return bandwidth.BytesPerSecond > 0;
            }
        }

        return false;
    }

    /// <summary>Writes it for reading: <c>500.0 MiB/s</c>, or the word for no limit.</summary>
    public override string ToString() =>
        BytesPerSecond == 0 ? Unlimited : new ByteSize((long)Math.Min(BytesPerSecond, long.MaxValue)).ToRoundedString() + "/s";
}
