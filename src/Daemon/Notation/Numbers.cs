namespace MigrationD.Daemon.Notation;

/// <summary>Numbers for people, the same on every host.</summary>
internal static class Numbers
{
    /// <summary>What stands where a value is not known.</summary>
    public const string Unknown = "-";

    /// <summary>With groups of thousands.</summary>
    public static string Number(ulong value) => value.ToString("N0", CultureInfo.InvariantCulture);

    /// <summary>A rate, rounded, with groups of thousands.</summary>
    public static string Whole(double value) => value.ToString("N0", CultureInfo.InvariantCulture);

    /// <summary>Microseconds as milliseconds: <c>1,234.56 ms</c>.</summary>
    public static string Milliseconds(ulong microseconds) => string.Create(CultureInfo.InvariantCulture, $"{microseconds / 1000.0:N2} ms");

    /// <summary>The same, or <see cref="Unknown"/>.</summary>
    public static string Milliseconds(bool isKnown, ulong microseconds) => isKnown ? Milliseconds(microseconds) : Unknown;

    /// <summary>Microseconds, whole.</summary>
    public static string Microseconds(double value) => string.Create(CultureInfo.InvariantCulture, $"{value:0} µs");

    /// <summary>A number of bytes, rounded: <c>31.4 MiB</c>.</summary>
    public static string Bytes(ulong bytes) => new ByteSize((long)Math.Min(bytes, long.MaxValue)).ToRoundedString();

    /// <summary>A rate of the lanes.</summary>
    public static string Megabits(double perSecond) => string.Create(CultureInfo.InvariantCulture, $"{perSecond:N1} Mbit/s");

    /// <summary>A part of 1, in whole percent; 100% only when all is there.</summary>
    public static string Percent(double fraction) => string.Create(CultureInfo.InvariantCulture, $"{Math.Floor(fraction * 100):0}%");

    /// <summary>Seconds and their tenths.</summary>
    public static string Seconds(double value) => string.Create(CultureInfo.InvariantCulture, $"{value:0.0} s");

    /// <summary>A time that is still to come: seconds, or minutes and seconds, or hours and minutes.</summary>
    public static string Duration(TimeSpan? time) => time switch
    {
        null => Unknown,
        { TotalSeconds: < 60 } short_ => Seconds(short_.TotalSeconds),
        { TotalHours: < 1 } medium => string.Create(CultureInfo.InvariantCulture, $"{(int)medium.TotalMinutes} min {medium.Seconds} s"),
        { } long_ => string.Create(CultureInfo.InvariantCulture, $"{Math.Floor(long_.TotalHours):N0} h {long_.Minutes} min"),
    };
}
