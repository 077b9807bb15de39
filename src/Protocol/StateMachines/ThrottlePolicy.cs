namespace MigrationD.Protocol.StateMachines;

/// <summary>
/// How much the vCPUs of a guest are held back that writes faster than precopy can follow, as a pure function. QEMU's auto-converge: a
/// beginning (cpu-throttle-initial), a step (cpu-throttle-increment), and an end that leaves the guest alive (max-cpu-throttle).
/// </summary>
public static class ThrottlePolicy
{
    /// <summary>The beginning, in percent of the time.</summary>
    public const int Initial = 20;

    /// <summary>What each further round adds, in percent of the time.</summary>
    public const int Increment = 10;

    /// <summary>The end, in percent of the time.</summary>
    public const int Most = 99;

    /// <summary>How much the guest is held back in the round that follows.</summary>
    /// <param name="percent">How much it was held back in the round that has ended; 0 for not at all.</param>
    /// <param name="round">The round that has ended.</param>
    /// <param name="before">How many pages were dirty when it began.</param>
    public static int Next(int percent, PrecopyRound round, long before) =>
        !PrecopyPolicy.LeavesTooMuch(round, before) ? percent
        : percent == 0 ? Initial
        : Math.Min(percent + Increment, Most);
}
