using MigrationD.Protocol.Messages;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.StateMachines;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Migrations;

/// <summary>
/// How a guest is to be moved to a HOST:PORT, as an operator asked for it, with every default filled in: limits of precopy as well where
/// there is none.
/// </summary>
internal sealed record MigrationPlan(string To, Placement Placement, MigrationMode Mode, PrecopyLimits Precopy)
{
    // More than any link carries.
    private const long MostBandwidth = 1L << 50;

    /// <summary>Of pure precopy: whether the guest is held back when it writes faster than it can be copied.</summary>
    public bool AutoConverge { get; init; }

    /// <summary>Connections that pages are pushed over at the same time.</summary>
    public int Lanes { get; init; } = 1;

    /// <summary>Whether memory is given back to this host as the destination confirms it.</summary>
    public bool ReleaseRam { get; init; }

    public CompressMode Compress { get; init; } = CompressMode.Auto;

    /// <summary>Bytes a second, over all lanes; 0 for no limit.</summary>
    public long Bandwidth { get; init; }

    /// <summary>The same for what is pushed after the switchover.</summary>
    public long PostcopyBandwidth { get; init; }

    /// <summary>The version of the protocol that a destination has to speak for it.</summary>
    public uint NeededVersion => ProtocolVersion.Needed(HasPrecopy(Mode) || Lanes > 1);

    /// <summary>A plan by post-copy alone.</summary>
    public static MigrationPlan Postcopy(string to) => new(to, Placement.Move, MigrationMode.Postcopy, PrecopyLimits.Default);

    /// <summary>Reads what a request asks for.</summary>
    /// <exception cref="Refusal">Invalid: it asks for what cannot be.</exception>
    public static MigrationPlan Of(MigrateRequest request)
    {
        MigrationMode mode = request.Mode == MigrationMode.Unspecified ? MigrationMode.Hybrid : request.Mode;
        PrecopyLimits unsaid = PrecopyLimits.Default;
        if (request.Lanes > PageLanePaths.MaxPushLanes)
        {
            throw new Refusal(
                Because.Invalid,
                $"guest '{request.Guest}' cannot be moved over {request.Lanes} lanes; at most {PageLanePaths.MaxPushLanes} are possible");
        }

        if (request.AutoConverge && mode != MigrationMode.Precopy)
        {
            throw new Refusal(
                Because.Invalid,
                $"guest '{request.Guest}' cannot be held back in mode {Words.Of(mode)}: --auto-converge needs --mode precopy, as post-copy "
                + "ends whatever the guest writes");
        }

        return new MigrationPlan(
            request.To, request.Placement, mode,
            new PrecopyLimits(
                IsPure: mode == MigrationMode.Precopy,
                MaxRounds: request.MaxRounds == 0 ? unsaid.MaxRounds : (int)Math.Min(request.MaxRounds, int.MaxValue),
                Timeout: request.PrecopyTimeoutMs == 0 ? unsaid.Timeout : Milliseconds(request.PrecopyTimeoutMs),
                Downtime: request.DowntimeLimitMs == 0 ? unsaid.Downtime : Milliseconds(request.DowntimeLimitMs),
                MoveAnyway: request.TimeoutStrategy == TimeoutStrategy.Continue))
        {
            Bandwidth = BytesPerSecond(request.Bandwidth),
            PostcopyBandwidth = BytesPerSecond(request.PostcopyBandwidth),
            Lanes = Math.Max(1, (int)request.Lanes),
            ReleaseRam = request.ReleaseRam,
            Compress = request.Compress == CompressMode.Unspecified ? CompressMode.Auto : request.Compress,
            AutoConverge = request.AutoConverge,
        };
    }

    /// <summary>Gives the same plan with what an operator wants to have changed.</summary>
    /// <exception cref="ArgumentException">That makes no sense for this plan; the message says why.</exception>
    public MigrationPlan With(SetMigrationRequest change)
    {
        if (change is { HasBandwidth: false, HasPostcopyBandwidth: false, HasMaxRounds: false, HasDowntimeLimitMs: false })
        {
            throw new ArgumentException("nothing is to be changed; say what");
        }

        if (change.HasMaxRounds && (!HasPrecopy(Mode) || change.MaxRounds == 0))
        {
            throw new ArgumentException(HasPrecopy(Mode)
                ? "precopy needs a round; 'migration start-postcopy' ends it now"
                : $"its mode is {Words.Of(Mode)}, which has no rounds");
        }

        if (change.HasDowntimeLimitMs && (Mode != MigrationMode.Precopy || change.DowntimeLimitMs == 0))
        {
            throw new ArgumentException(Mode == MigrationMode.Precopy
                ? "a guest cannot be moved without any downtime; use at least 1ms"
                : $"its mode is {Words.Of(Mode)}, and a downtime limit is one of pure precopy");
        }

        if (change.HasPostcopyBandwidth && Mode == MigrationMode.Precopy)
        {
            throw new ArgumentException($"its mode is {Words.Of(Mode)}, in which nothing is pushed after the switchover");
        }

        return this with
        {
            Bandwidth = change.HasBandwidth ? BytesPerSecond(change.Bandwidth) : Bandwidth,
            PostcopyBandwidth = change.HasPostcopyBandwidth ? BytesPerSecond(change.PostcopyBandwidth) : PostcopyBandwidth,
            Precopy = Precopy with
            {
                MaxRounds = change.HasMaxRounds ? (int)Math.Min(change.MaxRounds, int.MaxValue) : Precopy.MaxRounds,
                Downtime = change.HasDowntimeLimitMs ? Milliseconds(change.DowntimeLimitMs) : Precopy.Downtime,
            },
        };
    }

    public MigrationLimits Limits()
    {
        var limits = new MigrationLimits { Bandwidth = (ulong)Bandwidth, PostcopyBandwidth = (ulong)PostcopyBandwidth };
        if (HasPrecopy(Mode))
        {
            limits.MaxRounds = (uint)Precopy.MaxRounds;
        }

        if (Mode == MigrationMode.Precopy)
        {
            limits.DowntimeLimitMs = (uint)Math.Min(Precopy.Downtime.TotalMilliseconds, uint.MaxValue);
        }

        return limits;
    }

    /// <summary>Whether memory goes over before the switchover.</summary>
    public static bool HasPrecopy(MigrationMode mode) => mode is MigrationMode.Precopy or MigrationMode.Hybrid;

    private static long BytesPerSecond(ulong rate) => (long)Math.Min(rate, MostBandwidth);

    // Beyond a month it does not matter how far beyond.
    private static TimeSpan Milliseconds(ulong count) => TimeSpan.FromMilliseconds(Math.Min(count, 2_678_400_000));
}
