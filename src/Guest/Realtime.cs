namespace MigrationD.Guest;

/// <summary>The clock that two hosts share: CLOCK_REALTIME, kept together by NTP or better.</summary>
internal static class Realtime
{
    /// <summary>Nanoseconds since the Unix epoch; steps of 100 ns.</summary>
    public static long NowUnixNanoseconds() => (DateTime.UtcNow - DateTime.UnixEpoch).Ticks * TimeSpan.NanosecondsPerTick;
}
