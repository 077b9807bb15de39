using System.CommandLine;
using System.Text.Json;
using MigrationD.Daemon.Cli;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Options;
using MigrationD.Protocol.Refusals;

namespace MigrationD.Daemon.Tests.Cli;

public sealed class UsageTests
{
    private static readonly RootCommand Root = new CommandLine(new CliConsole(TextWriter.Null, TextWriter.Null, isTerminal: false)).Root;

    public static TheoryData<string> CommandPaths() => [.. Paths(Root, "")];

    private static IEnumerable<string> Paths(Command command, string prefix) =>
        command.Subcommands.SelectMany(sub => new[] { prefix + sub.Name }.Concat(Paths(sub, prefix + sub.Name + " ")));

    [Fact]
    public void Every_documented_command_is_there() =>
        Assert.Equal(
            [
                "certs",
                "certs init",
                "certs issue",
                "completion",
                "config",
                "config check",
                "config show",
                "demo",
                "doctor",
                "drain",
                "guest",
                "guest console",
                "guest create",
                "guest delete",
                "guest dump",
                "guest hash",
                "guest list",
                "guest pause",
                "guest resume",
                "guest show",
                "health",
                "migrate",
                "migration",
                "migration cancel",
                "migration list",
                "migration recover",
                "migration resolve",
                "migration set",
                "migration show",
                "migration start-postcopy",
                "migration watch",
                "node",
                "serve",
                "top",
                "undrain",
            ],
            Paths(Root, "").Order(StringComparer.Ordinal));

    [Theory]
    [MemberData(nameof(CommandPaths))]
    public async Task The_help_of_each_command_has_a_description_and_an_example_and_its_parents_help_names_it(string path)
    {
        var words = path.Split(' ');
        var own = await CliRun.OfAsync([.. words, "--help"]);
        Assert.Equal((0, ""), (own.ExitCode, own.Error));
        Assert.Contains("Usage:\n  migrationd " + path, own.Out, StringComparison.Ordinal);
        Assert.Contains("Examples:\n  ", own.Out, StringComparison.Ordinal);
        Assert.Contains("migrationd " + words[0], own.Out[own.Out.IndexOf("Examples:", StringComparison.Ordinal)..],
            StringComparison.Ordinal);

        var parent = await CliRun.OfAsync([.. words[..^1], "--help"]);
        Assert.Contains("\n  " + words[^1], parent.Out[parent.Out.IndexOf("Commands:", StringComparison.Ordinal)..],
            StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(CommandPaths))]
    public async Task Each_example_is_a_command_line_that_parses(string path)
    {
        var help = (await CliRun.OfAsync([.. path.Split(' '), "--help"])).Out;
        var examples = help[help.IndexOf("Examples:", StringComparison.Ordinal)..].Split('\n').Skip(1).Where(line =>
            line.Length > 0).ToArray();
        Assert.NotEmpty(examples);
        foreach (var one in examples.SelectMany(line => line.Split(" && ")))
        {
            var command = one[(one.LastIndexOf("migrationd ", StringComparison.Ordinal) + "migrationd ".Length)..].Trim();
            if (one.Contains("--config ./migrationd.json", StringComparison.Ordinal) || one.Contains("/run/", StringComparison.Ordinal))
            {
                command = one[(one.IndexOf("migrationd ", StringComparison.Ordinal) + "migrationd ".Length)..].Trim();
            }

            Assert.Empty(Root.Parse(command.Split(' ')).Errors);
        }
    }

    [Fact]
    public async Task The_main_help_has_every_exit_code()
    {
        var help = (await CliRun.OfAsync(["--help"])).Out;
        Assert.All(ExitCode.All, code => Assert.Contains($"\n  {code.Code,-4} {code.Meaning}", help, StringComparison.Ordinal));
        Assert.Equal(ExitCode.All.Count, ExitCode.All.Select(code => code.Code).Distinct().Count());
        Assert.Equal(help, (await CliRun.OfAsync([])).Out);
    }

    [Fact]
    public async Task The_help_of_serve_has_every_option_of_the_daemon()
    {
        var help = (await CliRun.OfAsync(["serve", "--help"])).Out;
        Assert.All(DaemonOptionKey.All, key => Assert.Contains($"  {key.Flag} <", help, StringComparison.Ordinal));
        Assert.DoesNotContain("--until-input-ends", help, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("bogus", "bogus")]
    [InlineData("guest", "--help")]
    [InlineData("guest show", "NAME")]
    [InlineData("guest show a b", "'b'")]
    [InlineData("guest create x --memory 12xx", "--memory 12xx")]
    [InlineData("guest create x --memory -1", "--memory -1")]
    [InlineData("guest create x --vcpus two", "two")]
    [InlineData("guest create x --kind xen", "kvm, workload")]
    [InlineData("guest create x --pattern random", "sequential, uniform, zipf")]
    [InlineData("demo --placement swap", "move, copy")]
    [InlineData("migrate x", "--to")]
    [InlineData("migrate x --to host", "HOST:PORT")]
    [InlineData("migrate x --to host:0", "HOST:PORT")]
    [InlineData("migrate x --to host:65536", "HOST:PORT")]
    [InlineData("migrate x --to ::1:7461", "HOST:PORT")]
    [InlineData("migrate x --to http://host:7461", "HOST:PORT")]
    [InlineData("drain --to b:7461 host", "HOST:PORT")]
    [InlineData("drain --parallel 0", "from 1 to 100")]
    [InlineData("drain --parallel 101", "from 1 to 100")]
    [InlineData("drain web", "'web'")]
    [InlineData("migration cancel", "ID")]
    [InlineData("migration recover m1 --to host", "HOST:PORT")]
    [InlineData("migration resolve m1", "--resume-here")]
    [InlineData("migration resolve m1 --resume-here --give-up", "--give-up")]
    [InlineData("migration resolve m1 --give-up --force", "--force")]
    [InlineData("guest dump web", "FILE")]
    [InlineData("completion", "SHELL")]
    [InlineData("completion tcsh", "tcsh")]
    [InlineData("serve --listen 10.0.0.1:1", "--insecure")]
    public async Task Wrong_usage_ends_with_2_and_says_what_is_wrong(string line, string expected)
    {
        var run = await CliRun.OfAsync(line.Split(' '));
        Assert.Equal((ExitCode.Usage, ""), (run.ExitCode, run.Out));
        Assert.Contains(expected, run.Error, StringComparison.Ordinal);

        if (!line.StartsWith("serve", StringComparison.Ordinal) && line != "bogus" && line != "guest"
            && !line.StartsWith("completion", StringComparison.Ordinal))
        {
            var json = await CliRun.OfAsync([.. line.Split(' '), "--json"]);
            Assert.Equal("usage", JsonDocument.Parse(json.Error).RootElement.GetProperty("error").GetProperty("code").GetString());
        }
    }

    [Fact]
    public async Task A_socket_path_that_cannot_be_one_is_wrong_usage()
    {
        var run = await CliRun.OfAsync(["guest", "list", "--control", "/" + new string('x', 107)]);
        Assert.Equal(ExitCode.Usage, run.ExitCode);
        Assert.Contains("108 bytes", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Each_refusal_becomes_a_failure_that_says_what_was_tried_and_why()
    {
        foreach (var why in Enum.GetValues<Because>())
        {
            var failure = ControlFailure.Explain("show guest web", "/run/x.sock", socketExists: true, new Refusal(why, "the detail"));
            Assert.Contains(ExitCode.All, known => known.Code == failure.ExitCode && known.Code != ExitCode.Ok);
            Assert.Contains("cannot show guest web", failure.Message, StringComparison.Ordinal);
            Assert.Contains("the detail", failure.Message, StringComparison.Ordinal);
        }
    }
}
