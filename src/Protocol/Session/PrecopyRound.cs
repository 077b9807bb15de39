namespace MigrationD.Protocol.Session;

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
