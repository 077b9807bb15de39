using System.Net;
using Microsoft.Extensions.Logging;
using MigrationD.Daemon.Security.Certificates;

namespace MigrationD.Daemon.Options;

/// <summary>
/// The daemon's configuration, complete and valid: what <see cref="Load(IReadOnlyDictionary{string, string})"/> returns needs no
/// further check.
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

    /// <summary>Where other daemons reach it for control. Port 0: the system chooses.</summary>
    public required IPEndPoint Listen { get; init; }

    /// <summary>Where other daemons send pages to. Port 0: the system chooses.</summary>
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

    /// <summary>Names of who may send guests here; empty for all of the same authority.</summary>
    public IReadOnlyList<string> AllowSenders { get; init; } = [];

    /// <summary>Names of who may receive guests from here; empty for all of the same authority.</summary>
    public IReadOnlyList<string> AllowReceivers { get; init; } = [];

    /// <summary>Names of who may read, besides senders; empty for nobody.</summary>
    public IReadOnlyList<string> AllowReaders { get; init; } = [];

    /// <summary>Every option with its value as it was given, and where that came from.</summary>
    public IReadOnlyList<DaemonOptionValue> Values { get; init; } = [];

    /// <summary>What is in <see cref="Tls"/>, loaded; null for plain text.</summary>
    internal NodeIdentity? Identity { get; init; }

    /// <summary>Whether addresses other than loopback are allowed although peers are not authenticated.</summary>
    public bool Insecure { get; init; }

    /// <summary>Where /metrics and the page for browsers are read; null for nowhere. Port 0: the system chooses.</summary>
    public IPEndPoint? Web { get; init; }

    /// <summary>The collector that figures are sent to by OTLP; null for none.</summary>
    public Uri? Otlp { get; init; }

    /// <summary>RAM that all guests of this host may have together, in bytes.</summary>
    public long GuestMemory { get; init; } = DefaultGuestMemory;

    /// <summary>Connections that each listener for other hosts serves at a time.</summary>
    public int MaxConnections { get; init; } = 256;

    /// <summary>Guests that may be on their way to this host at a time.</summary>
    public int MaxIncoming { get; init; } = 16;

    /// <summary>Guests that may be on their way from this host at a time.</summary>
    public int MaxOutgoing { get; init; } = 2;

    /// <summary>How long a destination is asked again that takes no more guests at the moment.</summary>
    public TimeSpan QueueTimeout { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>HOST:PORT of the daemons that this host's guests may go to when it is emptied.</summary>
    public IReadOnlyList<string> Peers { get; init; } = [];

    /// <summary>Silence after which a connection to another daemon is lost; at least 2 s.</summary>
    public TimeSpan LinkTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long a destination may take to load a paused guest's state before the guest goes on here.</summary>
    public TimeSpan SwitchoverTimeout { get; init; } = TimeSpan.FromMilliseconds(900);

    /// <summary>How long a lost link is dialled, and waited for, before an operator has to decide, or precopy fails.</summary>
    public TimeSpan RecoveryTimeout { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>How long a daemon that stops waits for its migrations to end.</summary>
    public TimeSpan StopTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>The least severe event that is logged.</summary>
    public LogLevel LogLevel { get; init; } = LogLevel.Information;

    /// <summary>The form of the log on standard error.</summary>
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
