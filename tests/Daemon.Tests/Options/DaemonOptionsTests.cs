using System.Net;
using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using Microsoft.Extensions.Logging;
using MigrationD.Daemon.Options;
using MigrationD.Daemon.Tests.Hosting;

namespace MigrationD.Daemon.Tests.Options;

public sealed class DaemonOptionsTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly Dictionary<string, string> _flags = [];
    private readonly Dictionary<string, string> _environment = [];

    public void Dispose() => _folder.Dispose();

    private DaemonOptions Load(string? file = null)
    {
        if (file is not null)
        {
            _flags["config"] = _folder.Write("migrationd.json", file);
        }

        return DaemonOptions.Load(_flags, _environment, _folder.PathOf("no-such-default.json"));
    }

    private IReadOnlyList<DaemonOptionError> Errors(string? file = null) =>
        Assert.Throws<DaemonOptionsException>(() => Load(file)).Errors;

    [Fact]
    public void Nothing_said_gives_the_documented_defaults()
    {
        var options = Load();

        Assert.Equal(new IPEndPoint(IPAddress.Loopback, 7461), options.Listen);
        Assert.Equal(new IPEndPoint(IPAddress.Loopback, 7462), options.Lanes);
        Assert.Equal("/run/migrationd/control.sock", options.ControlPath);
        Assert.NotEmpty(options.Node);
        Assert.Null(options.ConfigFile);
        Assert.False(options.Insecure);
        Assert.Null(options.Web);
        Assert.Null(options.Otlp);
        Assert.Equal(DaemonOptions.DefaultGuestMemory, options.GuestMemory);
        Assert.Equal(LogLevel.Information, options.LogLevel);
        Assert.Equal(LogFormat.Auto, options.LogFormat);
    }

    /// <summary>For each option a value, told apart by a digit that says where it was set.</summary>
    private static readonly Dictionary<string, (Func<int, string> Value, Func<DaemonOptions, string> Read)> Settings = new()
    {
        ["node"] = (i => $"node{i}", options => options.Node),
        ["listen"] = (i => $"127.0.0.{i}:1000", options => options.Listen.ToString()),
        ["lanes"] = (i => $"127.0.0.{i}:2000", options => options.Lanes.ToString()),
        ["control"] = (i => $"/run/control{i}.sock", options => options.ControlPath),
        ["state"] = (i => $"/var/lib/state{i}", options => options.State ?? ""),
        ["controlGroup"] = (i => new[] { "", "root", "daemon", "bin" }[i], options => options.ControlGroup ?? ""),
        ["tls"] = (i => TestCertificates.Folder(i), options => options.Tls ?? ""),
        ["allowSenders"] = (i => $"alpha{i},beta", options => string.Join(',', options.AllowSenders)),
        ["allowReceivers"] = (i => $"alpha{i}", options => string.Join(',', options.AllowReceivers)),
        ["allowReaders"] = (i => $"alpha{i}", options => string.Join(',', options.AllowReaders)),
        ["insecure"] = (i => i % 2 == 1 ? "true" : "false", options => options.Insecure ? "true" : "false"),
        ["web"] = (i => $"127.0.0.{i}:3000", options => options.Web?.ToString() ?? ""),
        ["otlp"] = (i => $"http://127.0.0.{i}:4317/", options => options.Otlp?.ToString() ?? ""),
        ["guestMemory"] = (i => $"{i}GiB", options => $"{options.GuestMemory >> 30}GiB"),
        ["maxConnections"] = (i => $"{i}00", options => $"{options.MaxConnections}"),
        ["maxOutgoing"] = (i => $"{i}", options => $"{options.MaxOutgoing}"),
        ["queueTimeout"] = (i => $"{i}s", options => $"{options.QueueTimeout.TotalSeconds}s"),
        ["peers"] = (i => $"10.0.0.{i}:7461,[::1]:7461", options => string.Join(',', options.Peers)),
        ["maxIncoming"] = (i => $"{i}", options => $"{options.MaxIncoming}"),
        ["linkTimeout"] = (i => $"{i + 1}s", options => $"{options.LinkTimeout.TotalSeconds}s"),
        ["switchoverTimeout"] = (i => $"{i}00ms", options => $"{options.SwitchoverTimeout.TotalMilliseconds}ms"),
        ["recoveryTimeout"] = (i => $"{i}m", options => $"{options.RecoveryTimeout.TotalMinutes}m"),
        ["stopTimeout"] = (i => $"{i}h", options => $"{options.StopTimeout.TotalHours}h"),
        ["logLevel"] = (i => new[] { "", "trace", "debug", "warning" }[i], options => options.LogLevel.ToString().ToLowerInvariant()),
        ["logFormat"] = (i => new[] { "", "text", "json", "text" }[i], options => options.LogFormat.ToString().ToLowerInvariant()),
    };

    [Theory]
    [InlineData(null, null)]
    [InlineData("", null)]
    [InlineData("/var/lib/migrationd", "/var/lib/migrationd")]
    [InlineData("/var/lib/migrationd:/var/lib/other", "/var/lib/migrationd")]
    public void The_directory_that_systemd_keeps_is_the_default_for_state(string? variable, string? expected)
    {
        if (variable is not null)
        {
            _environment["STATE_DIRECTORY"] = variable;
        }

        Assert.Equal(expected, Load().State);
        Assert.Equal("/srv/state", Load("""{ "state": "/srv/state" }""").State);
        _flags["state"] = "";
        Assert.Null(Load().State);
    }

    [Fact]
    public void Every_option_is_in_the_precedence_test() =>
        Assert.Equal(DaemonOptionKey.All.Select(key => key.Name).Where(name => name != "config").Order(), Settings.Keys.Order());

    [Theory]
    [InlineData("10.0.0.6")]
    [InlineData("10.0.0.6:7461,host:0")]
    [InlineData("http://host:7461")]
    public void Peers_that_are_no_addresses_are_named(string peers)
    {
        _flags["peers"] = peers;
        var error = Assert.Single(Errors());
        Assert.Equal("--peers", error.Key);
        Assert.Contains(peers.Split(',')[^1], error.Problem, StringComparison.Ordinal);
        Assert.Contains("HOST:PORT", error.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public void A_flag_wins_over_the_environment_and_the_environment_over_the_file()
    {
        var cases = from setting in Gen.Elements(Settings.Keys.ToArray())
                    from sources in Gen.Elements(1, 2, 3, 4, 5, 6, 7)
                    select (setting, sources);

        Prop.ForAll(cases.ToArbitrary(), chosen =>
        {
            var key = DaemonOptionKey.All.Single(key => key.Name == chosen.setting);
            var (value, read) = Settings[key.Name];
            _flags.Clear();
            _environment.Clear();
            if (key.Name.StartsWith("allow", StringComparison.Ordinal))
            {
                // Names mean nothing without certificates.
                _flags["tls"] = TestCertificates.Folder(1);
            }

            var expected = "";
            string? file = null;
            if ((chosen.sources & 4) != 0)
            {
                expected = value(3);
                file = JsonSerializer.Serialize(new Dictionary<string, string> { [key.Name] = expected });
            }

            if ((chosen.sources & 2) != 0)
            {
                _environment[key.EnvironmentVariable] = expected = value(2);
            }

            if ((chosen.sources & 1) != 0)
            {
                _flags[key.Name] = expected = value(1);
            }

            return read(Load(file)) == expected;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Any_loopback_endpoint_is_read_back_as_it_was_written()
    {
        var endpoints = from port in Gen.Choose(0, 65535)
                        from last in Gen.Choose(1, 254)
                        from six in Gen.Elements(true, false)
                        select six ? new IPEndPoint(IPAddress.IPv6Loopback, port) : new IPEndPoint(IPAddress.Parse($"127.0.0.{last}"),
                            port);

        Prop.ForAll(endpoints.ToArbitrary(), endpoint =>
        {
            _flags["listen"] = endpoint.ToString();
            _flags["lanes"] = "127.0.1.1:0";
            return Load().Listen.Equals(endpoint);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void No_text_at_all_makes_an_address_fail_in_another_way_than_a_named_error()
    {
        Prop.ForAll(ArbMap.Default.ArbFor<string>(), text =>
        {
            _flags["listen"] = text ?? "";
            try
            {
                return Load().Listen is not null;
            }
            catch (DaemonOptionsException error)
            {
                return error.Errors.All(error => error.Key is "--listen" or "--lanes");
            }
        }).QuickCheckThrowOnFailure();
    }

    [Theory]
    [InlineData("localhost:7461", "127.0.0.1:7461")]
    [InlineData("127.0.0.1:0", "127.0.0.1:0")]
    [InlineData("[::1]:65535", "[::1]:65535")]
    public void Good_addresses(string text, string expected)
    {
        _flags["listen"] = text;
        Assert.Equal(expected, Load().Listen.ToString());
    }

    [Theory]
    [InlineData("7461")]
    [InlineData("127.0.0.1")]
    [InlineData("127.0.0.1:")]
    [InlineData("127.0.0.1:65536")]
    [InlineData("127.0.0.1:-1")]
    [InlineData("127.0.0.1: 1")]
    [InlineData("::1:7461")]
    [InlineData("[127.0.0.1]:7461")]
    [InlineData("[[::1]]:7461")]
    [InlineData("host.example:7461")]
    [InlineData(":7461")]
    [InlineData("")]
    public void Bad_addresses(string text)
    {
        _flags["lanes"] = text;
        var error = Assert.Single(Errors());
        Assert.Equal(("--lanes", text, DaemonOptionOrigin.Flag), (error.Key, error.Value, error.Origin));
    }

    [Theory]
    [InlineData("0.0.0.0:7461")]
    [InlineData("10.0.0.5:7461")]
    [InlineData("[::]:7461")]
    [InlineData("[2001:db8::1]:7461")]
    public void An_address_off_the_loopback_needs_the_operators_word(string address)
    {
        _flags["listen"] = address;
        Assert.Contains("--insecure", Assert.Single(Errors()).Problem, StringComparison.Ordinal);

        _flags["insecure"] = "true";
        Assert.Equal(address, Load().Listen.ToString());

        _flags.Remove("insecure");
        Assert.Equal(address, Load("""{ "insecure": true }""").Listen.ToString());
    }

    [Fact]
    public void Everything_wrong_is_said_at_once_with_key_value_and_origin()
    {
        _flags["node"] = "a b";
        _environment["MIGRATIOND_LISTEN"] = "nowhere";
        var errors = Errors("""{ "lanes": "8.8.8.8:1", "logLevel": "loud", "logformat": "json", "insecure": 1, }""");

        var file = _flags["config"];
        Assert.Equal(
            new (string, string?, DaemonOptionOrigin, string?)[]
            {
                ("--node", "a b", DaemonOptionOrigin.Flag, null),
                ("MIGRATIOND_LISTEN", "nowhere", DaemonOptionOrigin.Environment, null),
                ("insecure", "1", DaemonOptionOrigin.File, file),
                ("lanes", "8.8.8.8:1", DaemonOptionOrigin.File, file),
                ("logLevel", "loud", DaemonOptionOrigin.File, file),
                ("logformat", "\"json\"", DaemonOptionOrigin.File, file),
            },
            errors.Select(error => (error.Key, error.Value, error.Origin, error.OriginDetail)).OrderBy(error => error.Key,
                StringComparer.Ordinal));
        Assert.Equal(
            $"lanes \"8.8.8.8:1\" (file {file}): ",
            errors.Single(error => error.Key == "lanes").ToString()[..$"lanes \"8.8.8.8:1\" (file {file}): ".Length]);
    }

    [Fact]
    public void What_does_not_go_together_is_said_beside_whatever_else_is_wrong()
    {
        _flags["node"] = "a b";
        _flags["listen"] = _flags["lanes"] = "127.0.0.1:1";
        _flags["allowSenders"] = "alpha";
        _environment["MIGRATIOND_ALLOW_RECEIVERS"] = "beta";
        Assert.Equal(
            ["--allow-senders alpha", "--lanes 127.0.0.1:1", "--node a b", "MIGRATIOND_ALLOW_RECEIVERS beta"],
            Errors().Select(error => $"{error.Key} {error.Value}").Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("{", "not valid JSON")]
    [InlineData("[]", "JSON object")]
    [InlineData("""{ "node": "a", "node": "b" }""", "not valid JSON")]
    [InlineData("""{ "config": "other.json" }""", "no option")]
    [InlineData("""{ "node": null }""", "must be a string")]
    public void Bad_files(string text, string expected) =>
        Assert.Contains(expected, Assert.Single(Errors(text)).Problem, StringComparison.Ordinal);

    [Fact]
    public void Comments_and_trailing_commas_are_allowed_in_the_file() =>
        Assert.Equal("alpha", Load("{ // why\n \"node\": \"alpha\", }").Node);

    [Fact]
    public void A_named_file_must_exist()
    {
        _environment["MIGRATIOND_CONFIG"] = _folder.PathOf("missing.json");
        var error = Assert.Single(Errors());
        Assert.Equal(("MIGRATIOND_CONFIG", DaemonOptionOrigin.Environment), (error.Key, error.Origin));
    }

    [Fact]
    public void The_default_file_is_read_when_it_exists()
    {
        var path = _folder.Write("default.json", """{ "node": "from-default-file" }""");
        var options = DaemonOptions.Load(_flags, _environment, path);
        Assert.Equal(("from-default-file", path), (options.Node, options.ConfigFile));
    }

    [Fact]
    public void A_variable_set_to_nothing_counts_as_not_set()
    {
        _environment["MIGRATIOND_LISTEN"] = "";
        Assert.Equal(DaemonOptions.DefaultListen, Load().Listen.ToString());
    }

    [Fact]
    public void No_two_doors_can_share_a_port()
    {
        _flags["listen"] = "0.0.0.0:7000";
        _flags["lanes"] = "127.0.0.1:7000";
        _flags["insecure"] = "true";
        Assert.Equal("--lanes", Assert.Single(Errors()).Key);

        _flags["listen"] = "127.0.0.2:7000";
        Assert.Equal(7000, Load().Lanes.Port);

        _flags["web"] = "0.0.0.0:7000";
        DaemonOptionError error = Assert.Single(Errors());
        Assert.Equal("--web", error.Key);
        Assert.Contains("--listen", error.Problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{ "web": true }""")]
    [InlineData("""{ "web": "true" }""")]
    public void A_file_of_before_that_switches_the_page_on_is_told_what_to_write(string file)
    {
        DaemonOptionError error = Assert.Single(Errors(file));
        Assert.Equal(("web", "true", DaemonOptionOrigin.File), (error.Key, error.Value, error.Origin));
        Assert.Contains("HOST:PORT instead, e.g. 127.0.0.1:7463", error.Problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{ "web": false }""")]
    [InlineData("""{ "web": "" }""")]
    public void A_file_that_wants_no_page_has_none(string file) => Assert.Null(Load(file).Web);

    [Fact]
    public void What_is_read_beyond_the_loopback_needs_the_operators_word()
    {
        _flags["web"] = "10.0.0.5:7463";
        Assert.Contains("could read which guests are here", Assert.Single(Errors()).Problem, StringComparison.Ordinal);
        _flags["insecure"] = "true";
        Assert.Equal("10.0.0.5:7463", Load().Web!.ToString());
    }

    [Fact]
    public void The_collector_is_what_every_program_is_told_unless_this_one_is_told_another()
    {
        _environment[DaemonOptions.StandardOtlp] = "http://10.0.0.1:4317";
        Assert.Equal(new Uri("http://10.0.0.1:4317"), Load().Otlp);
        _flags["otlp"] = "https://10.0.0.2:4317";
        Assert.Equal(new Uri("https://10.0.0.2:4317"), Load().Otlp);
        _flags["otlp"] = "";
        Assert.Null(Load().Otlp);
    }

    [Theory]
    [InlineData("10.0.0.1:4317")]
    [InlineData("grpc://10.0.0.1:4317")]
    [InlineData("collector")]
    public void What_is_no_url_of_a_collector_is_refused(string text)
    {
        _flags["otlp"] = text;
        Assert.Contains("http://HOST:4317", Assert.Single(Errors()).Problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("2s", 2000)]
    [InlineData("2500ms", 2500)]
    [InlineData("1.5m", 90_000)]
    [InlineData("1h", 3_600_000)]
    public void A_time_has_a_unit(string text, int milliseconds)
    {
        _flags["linkTimeout"] = text;
        Assert.Equal(TimeSpan.FromMilliseconds(milliseconds), Load().LinkTimeout);
    }

    [Theory]
    [InlineData("5")]
    [InlineData("")]
    [InlineData("s")]
    [InlineData("-5s")]
    [InlineData("1999ms")]
    [InlineData("1e9s")]
    [InlineData("NaNs")]
    [InlineData("200h")]
    [InlineData("5 s")]
    public void What_is_no_time_is_refused(string text)
    {
        _flags["linkTimeout"] = text;
        var error = Assert.Single(Errors());
        Assert.Equal(("--link-timeout", text), (error.Key, error.Value));
        Assert.Contains("from 2 s to 7 days", error.Problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(107, true)]
    [InlineData(108, false)]
    public void A_socket_path_fits_or_is_refused(int bytes, bool fits)
    {
        _flags["control"] = "/" + new string('s', bytes - 1);
        if (fits)
        {
            Assert.Equal(_flags["control"], Load().ControlPath);
        }
        else
        {
            Assert.Contains("108 bytes", Assert.Single(Errors()).Problem, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_relative_socket_path_becomes_absolute()
    {
        _flags["control"] = "c.sock";
        Assert.Equal(Path.GetFullPath("c.sock"), Load().ControlPath);
    }

    [Fact]
    public void The_three_names_of_an_option_follow_from_each_other()
    {
        var key = DaemonOptionKey.LogLevel;
        Assert.Equal(("logLevel", "--log-level", "MIGRATIOND_LOG_LEVEL"), (key.Name, key.Flag, key.EnvironmentVariable));
    }
}
