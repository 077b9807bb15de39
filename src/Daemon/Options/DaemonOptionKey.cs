namespace MigrationD.Daemon.Options;

/// <summary>
/// One option of the daemon under its three names. The table is the only list of them: the command line, the environment and the
/// file are all read from it, so that no option can be missing in one place.
/// </summary>
internal sealed class DaemonOptionKey
{
    /// <summary>The name in the file, e.g. <c>logLevel</c>.</summary>
    public string Name { get; }

    /// <summary>The name on the command line, e.g. <c>--log-level</c>.</summary>
    public string Flag { get; }

    /// <summary>The name in the environment, e.g. <c>MIGRATIOND_LOG_LEVEL</c>.</summary>
    public string EnvironmentVariable { get; }

    /// <summary>What stands for its value in a help text.</summary>
    public string ValueName { get; }

    public string Description { get; }

    private DaemonOptionKey(string words, string valueName, string description)
    {
        var parts = words.Split(' ');
        Name = parts[0] + string.Concat(parts.Skip(1).Select(part => char.ToUpperInvariant(part[0]) + part[1..]));
        Flag = "--" + string.Join('-', parts);
        EnvironmentVariable = "MIGRATIOND_" + string.Join('_', parts).ToUpperInvariant();
        ValueName = valueName;
        Description = description;
    }

    public static DaemonOptionKey Node { get; } = new("node", "NAME",
        "What this daemon calls itself in the records of other daemons [default: the host's name].");

    public static DaemonOptionKey Listen { get; } = new("listen", "HOST:PORT",
        $"Where other daemons reach it for control; an IP address or 'localhost', port 0 takes a free one "
        + $"[default: {DaemonOptions.DefaultListen}].");

    public static DaemonOptionKey Lanes { get; } = new("lanes", "HOST:PORT",
        $"Where other daemons send pages to; same form [default: {DaemonOptions.DefaultLanes}].");

    public static DaemonOptionKey Control { get; } = new("control", "PATH",
        $"Unix socket for the commands of this program, at most {DaemonOptions.MaxSocketPathBytes} bytes "
        + $"[default: {DaemonOptions.DefaultControlPath}].");

    /// <summary>The configuration file itself, which is never in the file.</summary>
    public static DaemonOptionKey Config { get; } = new("config", "FILE",
        $"JSON file with these options as camelCase keys [default: {DaemonOptions.DefaultConfigFile} when it exists].");

    public static DaemonOptionKey State { get; } = new("state", "DIR",
        "Directory of this daemon alone where it notes which guests it has, so that the daemon after it can say which were lost, whatever "
        + "ended this one [default: what systemd says in STATE_DIRECTORY, else none].");

    public static DaemonOptionKey Tls { get; } = new("tls", "DIR",
        "Directory with ca-cert.pem, server-cert.pem, server-key.pem, client-cert.pem and client-key.pem: everything between daemons is "
        + "encrypted, and both sides show certificates. 'migrationd certs' makes them [default: none, plain text].");

    public static DaemonOptionKey AllowSenders { get; } = new("allow senders", "NAMES",
        "Names, with commas between them, of certificates whose bearers may send guests here [default: all of the same authority].");

    public static DaemonOptionKey AllowReceivers { get; } = new("allow receivers", "NAMES",
        "The same for daemons that may receive guests from here [default: all of the same authority].");

    public static DaemonOptionKey AllowReaders { get; } = new("allow readers", "NAMES",
        "The same for programs that may read /metrics and the page for browsers, and nothing else, besides those who may send guests "
        + "[default: none besides].");

    public static DaemonOptionKey Insecure { get; } = new("insecure", "true|false",
        "Without --tls: allow addresses other than loopback, in plain text. Peers are NOT authenticated: only on a network you trust.");

    public static DaemonOptionKey ControlGroup { get; } = new("control group", "GROUP",
        "Group whose members may use the control socket, besides root and the daemon's own user [default: the daemon's own group].");

    public static DaemonOptionKey Web { get; } = new("web", "HOST:PORT",
        "Where /metrics and a page for browsers are read, which shows guests and migrations and changes nothing; the same form as LISTEN. "
        + "Without --tls whoever may connect there can read it [default: none, nothing is read].");

    public static DaemonOptionKey Otlp { get; } = new("otlp", "URL",
        "Collector that the figures of /metrics are sent to by OTLP, e.g. http://127.0.0.1:4317; all else about OTLP is in its own "
        + $"variables (OTEL_EXPORTER_OTLP_PROTOCOL and others) [default: what {DaemonOptions.StandardOtlp} says, else none].");

    public static DaemonOptionKey GuestMemory { get; } = new("guest memory", "SIZE",
        "RAM that all guests of this host may have together, e.g. 64GiB; a guest that does not fit is refused "
        + "[default: nine tenths of what this host or its container has].");

    public static DaemonOptionKey MaxConnections { get; } = new("max connections", "N",
        "Connections that each of LISTEN, LANES and WEB serves at a time, from 4 to 10000; one more is closed at once "
        + "[default: 256].");

    public static DaemonOptionKey MaxIncoming { get; } = new("max incoming", "N",
        "Guests that may be on their way to this host at a time, from 1 to 1000; one more waits at its source [default: 16].");

    public static DaemonOptionKey MaxOutgoing { get; } = new("max outgoing", "N",
        "Guests that may be on their way from this host at a time, from 1 to 1000; others wait for their turn [default: 2].");

    public static DaemonOptionKey QueueTimeout { get; } = new("queue timeout", "TIME",
        "How long a guest waits for a destination that has as many on their way as it may, before its migration fails [default: 10m].");

    public static DaemonOptionKey Peers { get; } = new("peers", "ADDRESSES",
        "Control addresses (HOST:PORT), with commas between them, of daemons that 'migrationd drain' moves guests to; this host's own may "
        + "be among them, so that one list does for all hosts [default: none].");

    public static DaemonOptionKey LinkTimeout { get; } = new("link timeout", "TIME",
        "Silence after which a connection to another daemon is lost, e.g. 5s, at least 2s [default: 5s].");

    public static DaemonOptionKey SwitchoverTimeout { get; } = new("switchover timeout", "TIME",
        "How long a destination may take to load a paused guest's state before the guest goes on here; more for links "
        + "below 100 Mbit/s [default: 900ms].");

    public static DaemonOptionKey RecoveryTimeout { get; } = new("recovery timeout", "TIME",
        "How long a lost link is dialled and waited for before an operator has to decide, or, in precopy, the migration fails "
        + "[default: 5m].");

    public static DaemonOptionKey StopTimeout { get; } = new("stop timeout", "TIME",
        "How long a daemon that stops waits for its migrations to end [default: 60s].");

    public static DaemonOptionKey LogLevel { get; } = new("log level", "LEVEL",
        "trace, debug, information, warning, error or critical [default: information].");

    public static DaemonOptionKey LogFormat { get; } = new("log format", "FORMAT",
        "auto, text or json; auto is the journal's own form under systemd, text on a terminal and JSON elsewhere [default: auto].");

    /// <summary>All options, in the order of the help text.</summary>
    public static IReadOnlyList<DaemonOptionKey> All { get; } =
    [
        Node, Listen, Lanes, Control, ControlGroup, Config, State, Tls, AllowSenders, AllowReceivers, AllowReaders, Insecure, Web, Otlp,
        GuestMemory, MaxConnections, MaxIncoming, MaxOutgoing, QueueTimeout, Peers, LinkTimeout, SwitchoverTimeout, RecoveryTimeout,
        StopTimeout, LogLevel, LogFormat,
    ];
}

/// <summary>
/// One option as it is in force: its value as it was written, or the default, and the flag, the variable or the file that it comes from.
/// </summary>
internal sealed record DaemonOptionValue(DaemonOptionKey Key, string Value, DaemonOptionOrigin Origin, string? OriginDetail);

/// <summary>Where the value of an option came from; an earlier one hides a later one.</summary>
internal enum DaemonOptionOrigin
{
    Flag,
    Environment,
    File,

    /// <summary>Nobody said anything.</summary>
    Default,
}
