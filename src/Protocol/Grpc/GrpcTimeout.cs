using System.Globalization;

namespace MigrationD.Protocol.Grpc;

/// <summary>The value of <c>grpc-timeout</c>: one to eight digits and a unit of H, M, S, m, u or n (grpc/doc/PROTOCOL-HTTP2.md).</summary>
internal static class GrpcTimeout
{
    private const long MaxValue = 99_999_999;
    private const long NanosecondsPerTick = 100;

    // Finest first. The largest, 99,999,999 hours, is 3.6e18 ticks and still fits a long.
    private static readonly (char Unit, long Ticks)[] Units =
    [
        ('u', TimeSpan.TicksPerMicrosecond),
        ('m', TimeSpan.TicksPerMillisecond),
        ('S', TimeSpan.TicksPerSecond),
        ('M', TimeSpan.TicksPerMinute),
        ('H', TimeSpan.TicksPerHour),
    ];

    /// <summary>
    /// The finest value that fits eight digits, rounded up: the server must not give up before the client does. Below zero counts as
    /// zero, and what eight digits of hours cannot hold becomes the most they can.
    /// </summary>
    public static string Format(TimeSpan timeout)
    {
        long ticks = Math.Max(0, timeout.Ticks);
        if (ticks <= MaxValue / NanosecondsPerTick)
        {
            return Write(ticks * NanosecondsPerTick, 'n');
        }

        foreach ((char unit, long ticksPerUnit) in Units)
        {
            long value = (ticks / ticksPerUnit) + (ticks % ticksPerUnit == 0 ? 0 : 1);
            if (value <= MaxValue)
            {
                return Write(value, unit);
            }
        }

        return Write(MaxValue, 'H');
    }

    /// <summary>Reads a value; false when it is none. Nanoseconds are rounded up to .NET's 100 ns.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out TimeSpan timeout)
    {
        timeout = TimeSpan.Zero;
        if (text.Length is < 2 or > 9 || !long.TryParse(text[..^1], NumberStyles.None, CultureInfo.InvariantCulture, out long value))
        {
            return false;
        }

        if (text[^1] == 'n')
        {
            timeout = TimeSpan.FromTicks((value + NanosecondsPerTick - 1) / NanosecondsPerTick);
            return true;
        }

        foreach ((char unit, long ticksPerUnit) in Units)
        {
            if (unit == text[^1])
            {
                timeout = TimeSpan.FromTicks(value * ticksPerUnit);
                return true;
            }
        }

        return false;
    }

    private static string Write(long value, char unit) => string.Create(CultureInfo.InvariantCulture, $"{value}{unit}");
}
