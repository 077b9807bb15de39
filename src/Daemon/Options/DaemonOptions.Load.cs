using System.Collections;
using System.Net;
using System.Text;
using MigrationD.Daemon.Interop;
using MigrationD.Daemon.Security.Certificates;
using MigrationD.Protocol.Calls;

namespace MigrationD.Daemon.Options;

/// <content>How options are gathered from flags, environment and file, and checked.</content>
internal sealed partial record DaemonOptions
{
    /// <summary>Loads from flags (by <see cref="DaemonOptionKey.Name"/>), this process's environment and the file that they name.</summary>
    /// <exception cref="DaemonOptionsException">Something is wrong; it says everything that is.</exception>
    public static DaemonOptions Load(IReadOnlyDictionary<string, string> flags)
    {
        var environment = Environment.GetEnvironmentVariables().Cast<DictionaryEntry>()
            .ToDictionary(entry => (string)entry.Key, entry => (string?)entry.Value ?? "");
        return Load(flags, environment, DefaultConfigFile);
    }

    /// <summary>
    /// Loads with the precedence flag, environment, file, default. An environment variable that is set to nothing counts as not set, as
    /// container tools pass variables on that way.
    /// </summary>
    /// <param name="flags">Values given on the command line, by <see cref="DaemonOptionKey.Name"/>.</param>
    /// <param name="environment">The environment.</param>
    /// <param name="defaultConfigFile">The file to read, when it exists, if no file is named.</param>
    /// <exception cref="DaemonOptionsException">Something is wrong; it says everything that is.</exception>
    public static DaemonOptions Load(
        IReadOnlyDictionary<string, string> flags, IReadOnlyDictionary<string, string> environment, string defaultConfigFile)
    {
        var errors = new List<DaemonOptionError>();
        var given = new Sources(flags, environment);
        var config = FileToRead(given, defaultConfigFile);
        if (config is not null)
        {
            given = given with { FilePath = config.Path, File = config.Read(errors) };
        }

        var insecure = given.Read(DaemonOptionKey.Insecure, "false", ParseBoolean, errors);
        var identity = given.Read(DaemonOptionKey.Tls, "", ParseTls, errors);
        var mayLeaveLoopback = insecure || given.Find(DaemonOptionKey.Tls, "").Value.Length > 0;
        var options = new DaemonOptions
        {
            Identity = identity?.Identity,
            Tls = identity?.Folder,
            AllowSenders = given.Read(DaemonOptionKey.AllowSenders, "", ParseNames, errors)!,
            AllowReceivers = given.Read(DaemonOptionKey.AllowReceivers, "", ParseNames, errors)!,
            AllowReaders = given.Read(DaemonOptionKey.AllowReaders, "", ParseNames, errors)!,
            ControlGroup = given.Read(DaemonOptionKey.ControlGroup, "", ParseGroup, errors),
            Node = given.Read(DaemonOptionKey.Node, DefaultNode(), ParseNode, errors)!,
            Listen = given.Read(DaemonOptionKey.Listen, DefaultListen, text => ParsePeerAddress(text, mayLeaveLoopback), errors)!,
            Lanes = given.Read(DaemonOptionKey.Lanes, DefaultLanes, text => ParsePeerAddress(text, mayLeaveLoopback), errors)!,
            ControlPath = given.Read(DaemonOptionKey.Control, DefaultControlPath, ParseSocketPath, errors)!,
            ConfigFile = config?.Path,
            State = given.Read(DaemonOptionKey.State, DefaultState(environment), ParseState, errors),
            Insecure = insecure,
            Web = given.Read(DaemonOptionKey.Web, "", text => ParseWeb(text, mayLeaveLoopback), errors),
            Otlp = given.Read(DaemonOptionKey.Otlp, environment.GetValueOrDefault(StandardOtlp, ""), ParseOtlp, errors),
            GuestMemory = given.Read(
                DaemonOptionKey.GuestMemory, DefaultGuestMemory.ToString(CultureInfo.InvariantCulture), ParseSize, errors),
            MaxConnections = given.Read(DaemonOptionKey.MaxConnections, "256", text => ParseCount(text, 4, 10_000), errors),
            MaxIncoming = given.Read(DaemonOptionKey.MaxIncoming, "16", text => ParseCount(text, 1, 1000), errors),
            MaxOutgoing = given.Read(DaemonOptionKey.MaxOutgoing, "2", text => ParseCount(text, 1, 1000), errors),
            QueueTimeout = given.Read(DaemonOptionKey.QueueTimeout, "10m", text => ParseTime(text, TimeSpan.FromSeconds(1)), errors),
            Peers = given.Read(DaemonOptionKey.Peers, "", ParsePeers, errors)!,
            LinkTimeout = given.Read(DaemonOptionKey.LinkTimeout, "5s", text => ParseTime(text, TimeSpan.FromSeconds(2)), errors),
            SwitchoverTimeout = given.Read(
                DaemonOptionKey.SwitchoverTimeout, "900ms", text => ParseTime(text, TimeSpan.FromMilliseconds(100)), errors),
            RecoveryTimeout = given.Read(DaemonOptionKey.RecoveryTimeout, "5m", text => ParseTime(text, TimeSpan.FromSeconds(1)), errors),
            StopTimeout = given.Read(DaemonOptionKey.StopTimeout, "60s", text => ParseTime(text, TimeSpan.FromSeconds(1)), errors),
            LogLevel = given.Read(DaemonOptionKey.LogLevel, "information", ParseWord<LogLevel>, errors),
            LogFormat = given.Read(DaemonOptionKey.LogFormat, "auto", ParseWord<LogFormat>, errors),
        };
        // Each of these needs only what it is about to be right: whatever else is wrong is said with it.
        (DaemonOptionKey Key, string Default, IPEndPoint? Address)[] doors =
        [
            (DaemonOptionKey.Listen, DefaultListen, options.Listen), (DaemonOptionKey.Lanes, DefaultLanes, options.Lanes),
            (DaemonOptionKey.Web, "", options.Web),
        ];
        foreach (var (index, (key, standard, address)) in doors.Index())
        {
            if (doors.Take(index).FirstOrDefault(before => Overlap(before.Address, address)).Key is { } taken)
            {
                errors.Add(given.Error(given.Find(key, standard), $"is the address of {taken.Flag} as well; give each a port of its own"));
            }
        }

        foreach (var key in new[] { DaemonOptionKey.AllowSenders, DaemonOptionKey.AllowReceivers, DaemonOptionKey.AllowReaders })
        {
            if (given.Find(DaemonOptionKey.Tls, "").Value.Length == 0 && given.Find(key, "") is { Value.Length: > 0 } list)
            {
                errors.Add(given.Error(list, $"needs {DaemonOptionKey.Tls.Flag}: without certificates nobody's name is known"));
            }
        }

        options = options with { Values = [.. DaemonOptionKey.All.Select(key => given.ValueOf(key, config?.Path))] };
        return errors.Count == 0 ? options : throw new DaemonOptionsException(errors);
    }

    // The next one after those of the other two doors.
    private const string ExampleWeb = "127.0.0.1:7463";

    private static bool Overlap(IPEndPoint? one, IPEndPoint? other) =>
        one is { Port: not 0 } && other is not null && one.Port == other.Port
        && (one.Address.Equals(other.Address) || IsAny(one.Address) || IsAny(other.Address));

    private static bool IsAny(IPAddress address) => address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any);

    private static DaemonOptionsFile? FileToRead(Sources given, string defaultConfigFile)
    {
        var named = given.Find(DaemonOptionKey.Config, "");
        if (named.Origin == DaemonOptionOrigin.Default)
        {
            return File.Exists(defaultConfigFile)
                ? new DaemonOptionsFile(defaultConfigFile, DaemonOptionKey.Config.Flag, DaemonOptionOrigin.Default)
                : null;
        }

        // An empty path cannot be made absolute; reading it reports the error with its origin.
        var path = named.Value.Length == 0 ? "" : Path.GetFullPath(named.Value);
        return new DaemonOptionsFile(path, Sources.KeyAt(DaemonOptionKey.Config, named.Origin), named.Origin);
    }

    /// <summary>The host's name, with what a node's name may not hold replaced.</summary>
    private static string DefaultNode()
    {
        var name = string.Concat(Environment.MachineName.Select(c => IsNameCharacter(c) ? c : '-'));
        return name.Length == 0 ? "migrationd" : name;
    }

    /// <summary>The first of the directories that systemd keeps for the service (StateDirectory= of systemd.exec(5)).</summary>
    private static string DefaultState(IReadOnlyDictionary<string, string> environment) =>
        environment.GetValueOrDefault("STATE_DIRECTORY", "").Split(':')[0];

    private static Parsed<string> ParseState(string text) => text.Contains('\0')
        ? Parsed<string>.Wrong("must be the path of a directory")
        : new(text.Length == 0 ? null : Path.GetFullPath(text));

    private static Parsed<string> ParseNode(string text) =>
        text.Length is >= 1 and <= 253 && text.All(IsNameCharacter)
            ? new(text)
            : Parsed<string>.Wrong("is no node name; use 1 to 253 characters of a-z, A-Z, 0-9, '-', '_' and '.'");

    private static bool IsNameCharacter(char c) => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.';

    private static Parsed<bool> ParseBoolean(string text) => text.ToLowerInvariant() switch
    {
        "true" or "1" or "yes" => new(true),
        "false" or "0" or "no" => new(false),
        _ => Parsed<bool>.Wrong("must be true or false"),
    };

    private static Parsed<long> ParseSize(string text) => ByteSize.TryParse(text, out ByteSize size) && size.Bytes > 0
        ? new(size.Bytes)
        : Parsed<long>.Wrong("is no size; use bytes or a number with KiB, MiB or GiB, e.g. 64GiB");

    private static Parsed<int> ParseCount(string text, int least, int most) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int count) && count >= least && count <= most
            ? new(count)
            : Parsed<int>.Wrong($"must be a whole number from {least} to {most}");

    private static Parsed<LoadedTls> ParseTls(string text)
    {
        if (text.Length == 0)
        {
            return new(null);
        }

        var folder = Path.GetFullPath(text);
        var problems = new List<string>();
        var identity = NodeIdentity.Load(folder, problems);
        return identity is null ? new(null, [.. problems]) : new(new LoadedTls(folder, identity));
    }

    private static Parsed<IReadOnlyList<string>> ParseNames(string text) => ParseList(
        text, name => Uri.CheckHostName(name) == UriHostNameType.Dns, "is no name; give the names of certificates");

    private static Parsed<IReadOnlyList<string>> ParsePeers(string text) => ParseList(
        text, peer => HostAndPort.TryParse(peer, out _), "is no HOST:PORT; give the control addresses of other daemons");

    private static Parsed<IReadOnlyList<string>> ParseList(string text, Func<string, bool> isOne, string problem)
    {
        var list = text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        return list.FirstOrDefault(one => !isOne(one)) is { } wrong
            ? Parsed<IReadOnlyList<string>>.Wrong($"\"{wrong}\" {problem} with commas between them")
            : new(list);
    }

    private static Parsed<string> ParseGroup(string text) =>
        text.Length == 0 ? new(null)
        : UnixGroup.TryFind(text, out _) ? new(text)
        : Parsed<string>.Wrong("is no group of this host; make it, or name another");

    private static Parsed<IPEndPoint> ParsePeerAddress(string text, bool mayLeaveLoopback) =>
        ParseAddress(text, mayLeaveLoopback, "send or take a guest");

    private static Parsed<IPEndPoint> ParseWeb(string text, bool mayLeaveLoopback) => text.ToLowerInvariant() switch
    {
        // This was a switch once, for a page at the address of other daemons; "false" is in many a file, and still means no page.
        "" or "false" => new(null),
        "true" => Parsed<IPEndPoint>.Wrong(
            $"says no longer where: the page and /metrics have a listener of their own; write its HOST:PORT instead, e.g. {ExampleWeb}"),
        _ => ParseAddress(text, mayLeaveLoopback, "read which guests are here and where they go"),
    };

    private static Parsed<Uri> ParseOtlp(string text) =>
        text.Length == 0 ? new(null)
        : Uri.TryCreate(text, UriKind.Absolute, out Uri? collector) && (collector.Scheme is "http" or "https") ? new(collector)
        : Parsed<Uri>.Wrong("is no address of a collector; use http://HOST:4317, or https:// for one with TLS");

    // The deed is what a stranger could do there, were the address another than loopback.
    private static Parsed<IPEndPoint> ParseAddress(string text, bool mayLeaveLoopback, string deed)
    {
        if (!HostAndPort.TrySplit(text, out HostAndPort? written))
        {
            return Parsed<IPEndPoint>.Wrong("must be HOST:PORT with a port from 0 to 65535, e.g. 127.0.0.1:7461 or [::1]:7461");
        }

        // Not what the host resolves it to, which may be several.
        if (!IPAddress.TryParse(written.Host == "localhost" ? "127.0.0.1" : written.Host, out IPAddress? address))
        {
            return Parsed<IPEndPoint>.Wrong(
                $"\"{written.Host}\" is no address of this host; use an IP address (IPv6 in brackets) or 'localhost', as a name can mean "
                + "several");
        }

        if (!IPAddress.IsLoopback(address) && !mayLeaveLoopback)
        {
            return Parsed<IPEndPoint>.Wrong(
                $"is not a loopback address, and peers are not authenticated: anybody who reaches it could {deed}; "
                + "give this daemon certificates (--tls), use 127.0.0.1 or [::1], or add --insecure on a network that you trust");
        }

        return new(new IPEndPoint(address, written.Port));
    }

    private static Parsed<TimeSpan> ParseTime(string text, TimeSpan least) =>
        Duration.TryParse(text, out TimeSpan time) && time >= least
            ? new(time)
            : Parsed<TimeSpan>.Wrong($"is no time from {least.TotalSeconds} s to 7 days; use a number with ms, s, m or h, e.g. 30s");

    private static Parsed<string> ParseSocketPath(string text)
    {
        if (text.Length == 0 || text.Contains('\0'))
        {
            return Parsed<string>.Wrong("must be the path of a unix socket");
        }

        var path = Path.GetFullPath(text);
        var bytes = Encoding.UTF8.GetByteCount(path);
        return bytes <= MaxSocketPathBytes
            ? new(path)
            : Parsed<string>.Wrong(
                $"is {bytes} bytes long as an absolute path, a unix socket's is at most {MaxSocketPathBytes}; use a shorter one");
    }

    private static Parsed<T> ParseWord<T>(string text)
        where T : struct, Enum
    {
        // LogLevel.None is no level that anybody sets: a daemon that logs nothing cannot say why it failed.
        var words = Enum.GetNames<T>().Where(name => name != nameof(LogLevel.None)).Select(name => name.ToLowerInvariant()).ToArray();
        return words.Contains(text.ToLowerInvariant())
            ? new(Enum.Parse<T>(text, ignoreCase: true))
            : Parsed<T>.Wrong($"must be one of {string.Join(", ", words)}");
    }

    private readonly record struct Parsed<T>(T? Value, params string[] Problems)
    {
        public static Parsed<T> Wrong(string problem) => new(default, problem);
    }

    private sealed record LoadedTls(string Folder, NodeIdentity Identity);

    private sealed record Found(DaemonOptionKey Key, string Value, DaemonOptionOrigin Origin);

    private sealed record Sources(IReadOnlyDictionary<string, string> Flags, IReadOnlyDictionary<string, string> Variables)
    {
        private readonly Dictionary<DaemonOptionKey, string> _defaults = [];

        public string? FilePath { get; init; }

        public IReadOnlyDictionary<string, string> File { get; init; } = new Dictionary<string, string>();

        public static string KeyAt(DaemonOptionKey key, DaemonOptionOrigin origin) => origin switch
        {
            DaemonOptionOrigin.Environment => key.EnvironmentVariable,
            DaemonOptionOrigin.File => key.Name,
            _ => key.Flag,
        };

        public Found Find(DaemonOptionKey key, string defaultValue) =>
            Flags.TryGetValue(key.Name, out var value) ? new(key, value, DaemonOptionOrigin.Flag)
            : Variables.TryGetValue(key.EnvironmentVariable, out value) && value.Length > 0
                ? new(key, value, DaemonOptionOrigin.Environment)
            : File.TryGetValue(key.Name, out value) ? new(key, value, DaemonOptionOrigin.File)
            : new(key, defaultValue, DaemonOptionOrigin.Default);

        public DaemonOptionError Error(Found found, string problem) => new(
            KeyAt(found.Key, found.Origin), found.Value, found.Origin,
            found.Origin == DaemonOptionOrigin.File ? FilePath : null, problem);

        /// <summary>An option that has been read, as it is in force.</summary>
        public DaemonOptionValue ValueOf(DaemonOptionKey key, string? file)
        {
            var found = Find(key, key == DaemonOptionKey.Config ? file ?? "" : _defaults[key]);
            return new(key, found.Value, found.Origin, found.Origin switch
            {
                DaemonOptionOrigin.Default => null,
                DaemonOptionOrigin.File => FilePath,
                _ => KeyAt(key, found.Origin),
            });
        }

        public T? Read<T>(DaemonOptionKey key, string defaultValue, Func<string, Parsed<T>> parse, List<DaemonOptionError> errors)
        {
            var found = Find(key, defaultValue);
            var parsed = parse(found.Value);
            errors.AddRange(parsed.Problems.Select(problem => Error(found, problem)));
            _defaults[key] = defaultValue;
            return parsed.Value;
        }
    }
}
