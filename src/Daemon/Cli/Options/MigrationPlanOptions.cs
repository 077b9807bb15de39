using System.CommandLine;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.StateMachines;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli.Options;

/// <summary>The options that say how a guest is moved; the same for <c>migrate</c> and <c>demo</c>.</summary>
internal sealed class MigrationPlanOptions
{
    /// <summary>More than any migration has.</summary>
    internal const uint MostRounds = 1_000_000;

    private static readonly PrecopyLimits Unsaid = PrecopyLimits.Default;

    private readonly WordOption<Placement> _placement = new("--placement", Placement.Move,
        "How the destination puts a page in its place: move it without a copy (UFFDIO_MOVE), or copy it (UFFDIO_COPY)");

    private readonly WordOption<MigrationMode> _mode = new("--mode", MigrationMode.Hybrid,
        "How memory goes over: after the switchover, before it, or before it while that pays and the rest after it");

    private readonly ValueOption<uint> _maxRounds = ValueOption.Count(
        "--max-rounds", MostRounds, $"Before the switchover: how often to go over memory at most [default: {Unsaid.MaxRounds}]");

    private readonly ValueOption<TimeSpan> _precopyTimeout = ValueOption.Time(
        "--precopy-timeout", $"Before the switchover: how long to copy memory at most [default: {Unsaid.Timeout.TotalMinutes:0}m]");

    private readonly ValueOption<TimeSpan> _downtimeLimit = ValueOption.Time(
        "--downtime-limit",
        $"With --mode precopy: how long the guest may stand still for its last pages [default: {Unsaid.Downtime.TotalMilliseconds:0}ms]");

    private readonly WordOption<TimeoutStrategy> _timeoutStrategy = new("--timeout-strategy", TimeoutStrategy.Fail,
        "With --mode precopy, when rounds or time are used up and the last pages take longer than that: the guest stays, or it is moved "
            + "all the same");

    private readonly Option<bool> _autoConverge = new("--auto-converge")
    {
        Description = "With --mode precopy: hold the guest's vCPUs back, more and more, while it writes faster than it can be copied",
    };

    private readonly Option<bool> _releaseRam = new("--release-ram")
    {
        Description = "Give memory back to this host as the destination confirms it, not at the end. If the destination is lost then, the "
            + "guest is lost: it cannot go on here any more",
    };

    private readonly WordOption<CompressMode> _compress = new("--compress", CompressMode.Auto,
        "Pack pages on their way, but for those that the guest waits for: when the transfer gets shorter by it (thin links), never, or "
        + "whatever gets smaller");

    private readonly ValueOption<Bandwidth> _bandwidth = ValueOption.Bandwidth(
        "--bandwidth", "How fast to send at most, e.g. 500MiB/s or 1Gbit; pages that the guest waits for count and never wait "
            + $"[default: {Bandwidth.Unlimited}]");

    private readonly ValueOption<Bandwidth> _postcopyBandwidth = ValueOption.Bandwidth(
        "--postcopy-bandwidth", "How fast to send pages that nobody waits for, after the switchover; --bandwidth holds as well "
            + $"[default: {Bandwidth.Unlimited}]");

    private readonly ValueOption<uint> _lanes = ValueOption.Count(
        "--lanes", PageLanePaths.MaxPushLanes,
        $"Connections to push pages over at the same time, from 1 to {PageLanePaths.MaxPushLanes}: more than one is faster where one "
            + "processor core cannot fill the network [default: 1]");

    public MigrationPlanOptions(Command command)
    {
        command.Options.Add(_mode);
        command.Options.Add(_maxRounds);
        command.Options.Add(_precopyTimeout);
        command.Options.Add(_downtimeLimit);
        command.Options.Add(_timeoutStrategy);
        command.Options.Add(_autoConverge);
        command.Options.Add(_releaseRam);
        command.Options.Add(_compress);
        command.Options.Add(_bandwidth);
        command.Options.Add(_postcopyBandwidth);
        command.Options.Add(_lanes);
        command.Options.Add(_placement);
    }

    /// <summary>Whether the guest cannot go on where it was once it has been switched over.</summary>
    public bool ReleasesRam(ParseResult parse) => parse.GetValue(_releaseRam);

    public MigrateRequest Read(ParseResult parse, string guest, string to) => new()
    {
        Guest = guest,
        To = to,
        Placement = _placement.Read(parse),
        Mode = _mode.Read(parse),
        MaxRounds = parse.GetValue(_maxRounds) ?? 0,
        PrecopyTimeoutMs = (ulong)(parse.GetValue(_precopyTimeout)?.TotalMilliseconds ?? 0),
        DowntimeLimitMs = (uint)(parse.GetValue(_downtimeLimit)?.TotalMilliseconds ?? 0),
        TimeoutStrategy = _timeoutStrategy.Read(parse),
        ReleaseRam = parse.GetValue(_releaseRam),
        AutoConverge = parse.GetValue(_autoConverge),
        Compress = _compress.Read(parse),
        Bandwidth = parse.GetValue(_bandwidth)?.BytesPerSecond ?? 0,
        PostcopyBandwidth = parse.GetValue(_postcopyBandwidth)?.BytesPerSecond ?? 0,
        Lanes = parse.GetValue(_lanes) ?? 0,
    };
}
