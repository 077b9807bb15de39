namespace MigrationD.Daemon.Notation;

/// <summary>A time as people write it: a number with ms, s, m or h.</summary>
internal static class Duration
{
    /// <summary>Reads a time of up to seven days.</summary>
    public static bool TryParse(string text, out TimeSpan time)
    {
        (string number, double milliseconds) = text switch
        {
            _ when text.EndsWith("ms", StringComparison.Ordinal) => (text[..^2], 1),
            _ when text.EndsWith('s') => (text[..^1], 1000),
            _ when text.EndsWith('m') => (text[..^1], 60_000),
            _ when text.EndsWith('h') => (text[..^1], 3_600_000),
            _ => ("", 0.0),
        };
        time = default;
        if (!double.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double count)
            || !(count * milliseconds <= TimeSpan.FromDays(7).TotalMilliseconds))
        {
            return false;
        }

        time = TimeSpan.FromMilliseconds(count * milliseconds);
        return true;
    }
}
