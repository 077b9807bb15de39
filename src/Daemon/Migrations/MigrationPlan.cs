using MigrationD.Protocol.Session;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Migrations;

/// <summary>How a guest is to be moved, as an operator asked for it, with every default filled in.</summary>
/// <param name="To">HOST:PORT of the destination's control address.</param>
/// <param name="Placement">How the destination places pages.</param>
/// <param name="Mode">How memory goes over.</param>
/// <param name="Precopy">How far precopy may go, if there is any.</param>
internal sealed record MigrationPlan(string To, Placement Placement, MigrationMode Mode, PrecopyLimits Precopy)
{
    /// <summary>By post-copy alone.</summary>
    public static MigrationPlan Postcopy(string to) => new(to, Placement.Move, MigrationMode.Postcopy, PrecopyLimits.Default);

    /// <summary>What a request asks for.</summary>
    public static MigrationPlan Of(MigrateRequest request)
    {
        MigrationMode mode = request.Mode == MigrationMode.Unspecified ? MigrationMode.Hybrid : request.Mode;
        PrecopyLimits unsaid = PrecopyLimits.Default;
        return new MigrationPlan(
            request.To, request.Placement, mode,
            new PrecopyLimits(
                IsPure: mode == MigrationMode.Precopy,
                MaxRounds: request.MaxRounds == 0 ? unsaid.MaxRounds : (int)Math.Min(request.MaxRounds, int.MaxValue),
                Timeout: request.PrecopyTimeoutMs == 0 ? unsaid.Timeout : Milliseconds(request.PrecopyTimeoutMs),
                Downtime: request.DowntimeLimitMs == 0 ? unsaid.Downtime : Milliseconds(request.DowntimeLimitMs),
                MoveAnyway: request.TimeoutStrategy == TimeoutStrategy.Continue));
    }

    /// <summary>Whether memory goes over before the switchover.</summary>
    public static bool HasPrecopy(MigrationMode mode) => mode is MigrationMode.Precopy or MigrationMode.Hybrid;

    // Beyond a month it does not matter how far beyond.
    private static TimeSpan Milliseconds(ulong count) => TimeSpan.FromMilliseconds(Math.Min(count, 2_678_400_000));
}
