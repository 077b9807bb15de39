namespace MigrationD.Protocol.Session;

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
