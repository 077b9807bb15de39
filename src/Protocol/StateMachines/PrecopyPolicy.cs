using System.Globalization;

namespace MigrationD.Protocol.StateMachines;

/// <summary>
/// When precopy has paid enough, as a pure function: no clock, no I/O. It always ends: after <see cref="PrecopyLimits.MaxRounds"/> rounds
/// at the latest.
/// </summary>
public static class PrecopyPolicy
{
    // A round that leaves more than this share of what it began with does not get there in many rounds either.
    private const double WorthAnotherRound = 0.75;

    // Nobody notices what post-copy brings in less than this, and another round costs as much.
    private static readonly TimeSpan Little = TimeSpan.FromMilliseconds(20);

    // A look is long enough to tell pages that are written again and again from those that were written once, and no longer.
    private const double LookForPart = 1.0 / 16;
    private static readonly TimeSpan LongestLook = TimeSpan.FromMilliseconds(200);

    /// <summary>What comes after <paramref name="round"/>.</summary>
    /// <param name="limits">How far precopy may go.</param>
    /// <param name="round">The round that has just ended.</param>
    /// <param name="before">How many pages were dirty when it began: all of them for the first.</param>
    public static PrecopyDecision Next(PrecopyLimits limits, PrecopyRound round, long before) =>
        round.Dirty == 0 ? SwitchOver("nothing was written since the last round")
        : limits.IsPure ? NextOfPure(limits, round)
        : NextOfHybrid(limits, round, before);

    /// <summary>
    /// For how long to look, before the switchover, at what the guest writes: the longer the longer the rest is on its way, because in
    /// which order it comes matters as much. Zero when all of it comes at once.
    /// </summary>
    /// <param name="last">The last round.</param>
    public static TimeSpan LookFor(PrecopyRound last)
    {
        TimeSpan rest = last.TimeForDirty;
        return rest <= Little ? TimeSpan.Zero : rest * LookForPart < LongestLook ? rest * LookForPart : LongestLook;
    }

    /// <summary>Whether a round has left so much of what it began with that many more do not get there either.</summary>
    internal static bool LeavesTooMuch(PrecopyRound round, long before) => round.Dirty > before * WorthAnotherRound;

    private static PrecopyDecision NextOfPure(PrecopyLimits limits, PrecopyRound round)
    {
        if (round.TimeForDirty <= limits.Downtime)
        {
            return SwitchOver(
                $"what is left takes {Milliseconds(round.TimeForDirty)}, within the downtime limit of {Milliseconds(limits.Downtime)}");
        }

        return Exhausted(limits, round) is { } exhausted
            ? new PrecopyDecision(
                limits.MoveAnyway ? PrecopyStep.SwitchOver : PrecopyStep.GiveUp,
                $"{exhausted}, and what is left would take {Milliseconds(round.TimeForDirty)}, more than the downtime limit of "
                    + Milliseconds(limits.Downtime))
            : default;
    }

    private static PrecopyDecision NextOfHybrid(PrecopyLimits limits, PrecopyRound round, long before) =>
        round.TimeForDirty <= Little ? SwitchOver($"what is left takes {Milliseconds(round.TimeForDirty)}")
        : round.DirtyPagesPerSecond >= round.PagesPerSecond ? SwitchOver(string.Create(CultureInfo.InvariantCulture,
            $"the guest writes {round.DirtyPagesPerSecond:0} pages a second, and the link carries {round.PagesPerSecond:0}"))
        : LeavesTooMuch(round, before) ? SwitchOver(
            $"another round would not pay: {round.Dirty} pages are dirty after it, {before} were before")
        : Exhausted(limits, round) is { } exhausted ? SwitchOver(exhausted)
        : default;

    private static string? Exhausted(PrecopyLimits limits, PrecopyRound round) =>
        round.Number >= limits.MaxRounds ? $"all {limits.MaxRounds} rounds are used up"
        : round.Elapsed >= limits.Timeout ? string.Create(CultureInfo.InvariantCulture, $"{limits.Timeout.TotalSeconds:0.#} s are used up")
        : null;

    private static PrecopyDecision SwitchOver(string why) => new(PrecopyStep.SwitchOver, why);

    private static string Milliseconds(TimeSpan time) => string.Create(CultureInfo.InvariantCulture, $"{time.TotalMilliseconds:0.#} ms");
}

/// <summary>What comes after a round of precopy, and why, in words for an operator; empty for another round.</summary>
public readonly record struct PrecopyDecision(PrecopyStep Step, string Why);

/// <summary>What comes after a round of precopy.</summary>
public enum PrecopyStep
{
    /// <summary>Another round.</summary>
    Again,

    /// <summary>The switchover.</summary>
    SwitchOver,

    /// <summary>Nothing: the guest stays where it is.</summary>
    GiveUp,
}

/// <summary>How a round of precopy went, seen when it has ended and what was written meanwhile has been counted.</summary>
/// <param name="Number">1 for the first, which is the whole memory.</param>
/// <param name="Sent">Pages that it sent.</param>
/// <param name="Dirty">Pages that the guest wrote while it went on: what the next round would send.</param>
/// <param name="Took">From its first page until the destination had its last one.</param>
/// <param name="Elapsed">From the first page of the first round until now.</param>
public readonly record struct PrecopyRound(int Number, long Sent, long Dirty, TimeSpan Took, TimeSpan Elapsed)
{
    /// <summary>How fast pages went over; at least something, so that it can be divided by.</summary>
    public double PagesPerSecond => Math.Max(1, Sent) / Math.Max(Took.TotalSeconds, 1e-6);

    /// <summary>How fast the guest wrote pages, each counted once.</summary>
    public double DirtyPagesPerSecond => Dirty / Math.Max(Took.TotalSeconds, 1e-6);

    /// <summary>How long what is dirty would take to send.</summary>
    public TimeSpan TimeForDirty => TimeSpan.FromSeconds(Math.Min(Dirty / PagesPerSecond, TimeSpan.MaxValue.TotalSeconds / 2));
}

/// <summary>How far precopy may go.</summary>
/// <param name="IsPure">Whether nothing is to be left for post-copy.</param>
/// <param name="MaxRounds">Rounds at most.</param>
/// <param name="Timeout">Time at most.</param>
/// <param name="Downtime">Of pure precopy: how long the guest may stand still for its last pages.</param>
/// <param name="MoveAnyway">Of pure precopy: whether the guest is moved when its last pages take longer than that.</param>
public sealed record PrecopyLimits(bool IsPure, int MaxRounds, TimeSpan Timeout, TimeSpan Downtime, bool MoveAnyway)
{
    /// <summary>What an operator gets who says nothing.</summary>
    public static PrecopyLimits Default { get; } =
        new(IsPure: false, MaxRounds: 30, TimeSpan.FromMinutes(10), TimeSpan.FromMilliseconds(300), MoveAnyway: false);
}
