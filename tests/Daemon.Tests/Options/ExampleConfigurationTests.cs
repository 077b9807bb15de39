using System.Text.RegularExpressions;
using MigrationD.Daemon.Options;
using MigrationD.Daemon.Tests.Cli;
using MigrationD.Daemon.Tests.Hosting;

namespace MigrationD.Daemon.Tests.Options;

/// <summary>deploy/migrationd.json has every option of the daemon with its default, and says what it is for.</summary>
public sealed partial class ExampleConfigurationTests
{
    private static readonly string Example = Path.Combine(AppContext.BaseDirectory, "migrationd.json");
    private static readonly string Text = File.ReadAllText(Example);

    // Their defaults are the host's, so no text can name them; they are in comments.
    private static readonly string[] OfTheHost =
        [DaemonOptionKey.Node.Name, DaemonOptionKey.State.Name, DaemonOptionKey.Otlp.Name, DaemonOptionKey.GuestMemory.Name];

    private static readonly string[] Names = [.. DaemonOptionKey.All.Where(key => key != DaemonOptionKey.Config).Select(key => key.Name)];

    public static TheoryData<string> Options() => [.. Names];

    [Fact]
    public void It_has_every_option_once_and_no_other() =>
        Assert.Equal(
            Names.Order(StringComparer.Ordinal),
            Entry().Matches(Text).Select(entry => entry.Groups["key"].Value).Order(StringComparer.Ordinal));

    [Fact]
    public void Only_what_depends_on_the_host_is_in_a_comment() => Assert.Equal(
        OfTheHost, Entry().Matches(Text).Where(entry => entry.Groups["off"].Success).Select(entry => entry.Groups["key"].Value));

    [Theory]
    [MemberData(nameof(Options))]
    public void It_changes_nothing(string name)
    {
        DaemonOptionValue without = ValueOf(name, []), with = ValueOf(name, new() { ["config"] = Example });
        Assert.Equal(without.Value, with.Value);
        Assert.Equal(OfTheHost.Contains(name) ? DaemonOptionOrigin.Default : DaemonOptionOrigin.File, with.Origin);
    }

    [Theory]
    [MemberData(nameof(Options))]
    public void Each_option_says_what_it_does_and_its_default(string name)
    {
        Match entry = Entry().Matches(Text).Single(entry => entry.Groups["key"].Value == name);
        string[] comment = [.. Text[..entry.Index].Split('\n').SkipLast(1).Reverse()
            .TakeWhile(line => line.StartsWith("  // ", StringComparison.Ordinal)).Reverse()];
        Assert.True(comment.Length >= 2, $"no comment on {name}");
        Assert.StartsWith("  // Default: ", comment[^1], StringComparison.Ordinal);
        string expected = OfTheHost.Contains(name) ? "host" : entry.Groups["value"].Value.Trim('"');
        Assert.Contains(expected.Length > 0 ? expected : "which is the same as \"\"", comment[^1], StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_in_comments_is_right_as_well()
    {
        using var folder = new TemporaryFolder();
        string all = folder.Write("all.json", Regex.Replace(Text, @"^  // (?="")", "  ", RegexOptions.Multiline));
        DaemonOptions options = DaemonOptions.Load(new Dictionary<string, string> { ["config"] = all }, new Dictionary<string, string>(), "");
        Assert.Equal(("alpha", "/var/lib/migrationd", 64L << 30), (options.Node, options.State, options.GuestMemory));
    }

    [Fact]
    public async Task The_program_takes_it()
    {
        CliRun run = await CliRun.OfAsync(["config", "check", "--config", Example]);
        Assert.Equal((0, ""), (run.ExitCode, run.Error));
        Assert.Matches($@"(?m)^recoveryTimeout +5m +file {Regex.Escape(Example)}$", run.Out);
        Assert.Matches($@"(?m)^config +{Regex.Escape(Example)} +flag --config$", run.Out);
    }

    private static DaemonOptionValue ValueOf(string name, Dictionary<string, string> flags) =>
        DaemonOptions.Load(flags, new Dictionary<string, string>(), "").Values.Single(value => value.Key.Name == name);

    [GeneratedRegex(@"^  (?<off>// )?""(?<key>\w+)"": (?<value>""[^""]*""|true|false),$", RegexOptions.Multiline)]
    private static partial Regex Entry();
}
