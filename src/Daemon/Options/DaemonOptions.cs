using System.Net;
using MigrationD.Daemon.Security.Certificates;

namespace MigrationD.Daemon.Options;

/// <summary>
/// The daemon's configuration, complete and valid: what <see cref="Load(IReadOnlyDictionary{string, string})"/> returns needs no
/// further check. <see cref="DaemonOptionKey"/> describes each option; an address with port 0 leaves the port to the system.
/// </summary>
internal sealed partial record DaemonOptions
{
    /// <summary>The control address when nobody says otherwise.</summary>
    public const string DefaultListen = "127.0.0.1:7461";

    /// <summary>The lanes' address when nobody says otherwise.</summary>
    public const string DefaultLanes = "127.0.0.1:7462";

    /// <summary>The variable that names a collector to every program that sends figures by OTLP; see <see cref="Otlp"/>.</summary>
    public const string StandardOtlp = "OTEL_EXPORTER_OTLP_ENDPOINT";

    /// <summary>The control socket when nobody says otherwise; the CLI's default as well.</summary>
    public const string DefaultControlPath = "/run/migrationd/control.sock";

    /// <summary>The file that is read, when it exists, if none is named.</summary>
    public const string DefaultConfigFile = "/etc/migrationd/migrationd.json";

    /// <summary>The longest path of a unix socket in UTF-8 bytes: sun_path of unix(7) is 108 with its terminating zero.</summary>
    public const int MaxSocketPathBytes = 107;

    /// <summary>
    /// <see cref="GuestMemory"/> when nobody says otherwise: nine tenths of this host's memory, or of its control group's limit; the rest
    /// is for this process and its neighbours.
    /// </summary>
    public static long DefaultGuestMemory => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 10 * 9;

    /// <summary>What this daemon calls itself; 1 to 253 characters of a-z, A-Z, 0-9, '-', '_' and '.'.</summary>
    public required string Node { get; init; }

    public required IPEndPoint Listen { get; init; }

    public required IPEndPoint Lanes { get; init; }

    /// <summary>Absolute path of the unix socket for the CLI; at most <see cref="MaxSocketPathBytes"/> bytes.</summary>
    public required string ControlPath { get; init; }

    /// <summary>The file that was read, absolute; null when none was.</summary>
    public string? ConfigFile { get; init; }

    /// <summary>The directory of the journal of guests, absolute; null to keep none.</summary>
    public string? State { get; init; }

    /// <summary>The group whose members may use the control socket; null for the daemon's own.</summary>
    public string? ControlGroup { get; init; }

    /// <summary>The directory of this node's certificates, absolute; null for plain text.</summary>
    public string? Tls { get; init; }

    public IReadOnlyList<string> AllowSenders { get; init; } = [];

    public IReadOnlyList<string> AllowReceivers { get; init; } = [];

    public IReadOnlyList<string> AllowReaders { get; init; } = [];

    /// <summary>Every option with its value as it was given, and where that came from.</summary>
    public IReadOnlyList<DaemonOptionValue> Values { get; init; } = [];

    /// <summary>What is in <see cref="Tls"/>, loaded; null for plain text.</summary>
    internal NodeIdentity? Identity { get; init; }

    public bool Insecure { get; init; }

    /// <summary>Where /metrics and the page for browsers are read; null for nowhere. Port 0: the system chooses.</summary>
    public IPEndPoint? Web { get; init; }

    public Uri? Otlp { get; init; }

    /// <summary>RAM that all guests of this host may have together, in bytes.</summary>
    public long GuestMemory { get; init; } = DefaultGuestMemory;

    public int MaxConnections { get; init; } = 256;

    public int MaxIncoming { get; init; } = 16;

    public int MaxOutgoing { get; init; } = 2;

    public TimeSpan QueueTimeout { get; init; } = TimeSpan.FromMinutes(10);

    public IReadOnlyList<string> Peers { get; init; } = [];

    public TimeSpan LinkTimeout { get; init; } = TimeSpan.FromSeconds(5);

    public TimeSpan SwitchoverTimeout { get; init; } = TimeSpan.FromMilliseconds(900);

    public TimeSpan RecoveryTimeout { get; init; } = TimeSpan.FromMinutes(5);

    public TimeSpan StopTimeout { get; init; } = TimeSpan.FromSeconds(60);

    public LogLevel LogLevel { get; init; } = LogLevel.Information;

    public LogFormat LogFormat { get; init; } = LogFormat.Auto;
}

/// <summary>How log events are written to standard error.</summary>
internal enum LogFormat
{
    /// <summary>The journal's own form where standard error leads to the journal, text on a terminal, JSON anywhere else.</summary>
    Auto = 0,

    /// <summary>One readable line for each event.</summary>
    Text = 1,

    /// <summary>One JSON object a line for each event.</summary>
    Json = 2,
}
