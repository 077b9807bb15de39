using System.CommandLine;
using System.CommandLine.Help;
using System.Diagnostics;
using System.Text.RegularExpressions;
using MigrationD.Daemon.Cli;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Options;
using MigrationD.TestSupport;

namespace MigrationD.Daemon.Tests.Cli;

/// <summary>The man page (deploy/man/migrationd.1) says what the program does, and is set without a warning.</summary>
public sealed partial class ManPageTests
{
    private static readonly string File = Path.Combine(AppContext.BaseDirectory, "migrationd.1");
    private static readonly string Source = System.IO.File.ReadAllText(File);

    // Set in one line, without fonts: what is searched are words.
    private static readonly string Text = Fonts().Replace(Source, "").Replace("\\-", "-", StringComparison.Ordinal);

    private static readonly RootCommand Root = new CommandLine(new CliConsole(TextWriter.Null, TextWriter.Null, isTerminal: false)).Root;

    public static TheoryData<string> CommandPaths() => [.. Leaves(Root, "").Select(leaf => leaf.Path)];

    public static TheoryData<string> OptionsOfTheDaemon() => [.. DaemonOptionKey.All.Select(key => key.Flag)];

    [Theory]
    [MemberData(nameof(CommandPaths))]
    public void Each_command_has_an_entry_with_its_arguments_and_its_options(string path)
    {
        string entry = Entry(path);
        Command command = Leaves(Root, "").Single(leaf => leaf.Path == path).Command;
        string heading = entry[..entry.IndexOf('\n', StringComparison.Ordinal)];
        Assert.All(command.Arguments, argument => Assert.Contains(argument.Name, heading, StringComparison.Ordinal));
        // The daemon's options have a section of their own, and so have those of every command.
        bool isDaemons = path is "serve" or "config check";
        string[] everywhere = ["--json", "--control", "--help", .. isDaemons ? DaemonOptionKey.All.Select(key => key.Flag) : []];
        foreach (Option option in command.Options.Where(
            option => !option.Hidden && option is not HelpOption && !everywhere.Contains(option.Name)))
        {
            Assert.Matches($@"(?<![\w-]){Regex.Escape(option.Name)}(?![\w-])", entry);
            Assert.All(option.Aliases, alias => Assert.Matches($@"(?<![\w-]){Regex.Escape(alias)}(?![\w-])", entry));
        }
    }

    [Theory]
    [MemberData(nameof(OptionsOfTheDaemon))]
    public void Each_option_of_the_daemon_has_its_three_names_and_its_value(string flag)
    {
        DaemonOptionKey key = DaemonOptionKey.All.Single(one => one.Flag == flag);
        string heading = Section("DAEMON OPTIONS").Split('\n').Single(line => line.StartsWith($".BI {flag} ", StringComparison.Ordinal));
        Assert.Contains($"\" {key.ValueName}\"", heading, StringComparison.Ordinal);
        Assert.Contains(key.EnvironmentVariable, heading, StringComparison.Ordinal);
        if (key != DaemonOptionKey.Config)
        {
            Assert.EndsWith($" {key.Name}\"", heading, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void No_option_of_the_daemon_is_there_that_it_does_not_have() => Assert.Equal(
        DaemonOptionKey.All.Select(key => key.Flag),
        Section("DAEMON OPTIONS").Split('\n').Where(line => line.StartsWith(".BI --", StringComparison.Ordinal))
            .Select(line => line.Split(' ')[1]));

    [Fact]
    public void No_command_is_there_that_the_program_does_not_have() => Assert.Equal(
        Leaves(Root, "").Select(leaf => leaf.Path).Order(StringComparer.Ordinal),
        Headings().Select(heading => heading.Path).Order(StringComparer.Ordinal));

    [Fact]
    public void Each_exit_code_is_there_and_no_other() => Assert.Equal(
        ExitCode.All.Select(code => code.Code),
        Section("EXIT STATUS").Split('\n').Where(line => line.StartsWith(".B ", StringComparison.Ordinal) && char.IsAsciiDigit(line[3]))
            .Select(line => int.Parse(line[3..], System.Globalization.CultureInfo.InvariantCulture)));

    [Fact]
    public void Its_examples_are_command_lines_that_parse()
    {
        string[] examples =
            [.. Section("EXAMPLES").Split('\n').Where(line => Prompt().IsMatch(line)).Select(line => Prompt().Replace(line, ""))];
        Assert.NotEmpty(examples);
        Assert.All(examples, example => Assert.Empty(Root.Parse(example.TrimEnd('&').Split('|')[0].Trim()).Errors));
    }

    [Fact]
    public void It_names_the_files_that_the_program_uses()
    {
        string files = Section("FILES");
        Assert.Contains(DaemonOptions.DefaultConfigFile, files, StringComparison.Ordinal);
        Assert.Contains(DaemonOptions.DefaultControlPath, files, StringComparison.Ordinal);
    }

    [MachineFact(Needs.Groff)]
    public async Task It_is_set_without_a_warning()
    {
        using Process groff = Process.Start(new ProcessStartInfo("groff", ["-man", "-Tutf8", "-ww", File])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        Task<string> output = groff.StandardOutput.ReadToEndAsync();
        string warnings = await groff.StandardError.ReadToEndAsync().WaitAsync(TimeSpan.FromSeconds(30));
        await groff.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(30));
        Assert.Equal((0, ""), (groff.ExitCode, warnings));
        Assert.Contains("MIGRATIOND(1)", await output, StringComparison.Ordinal);
    }

    /// <summary>Groups are not listed: each of their commands is.</summary>
    private static IEnumerable<(string Path, Command Command)> Leaves(Command command, string prefix) => command.Subcommands.SelectMany(
        sub => sub.Subcommands.Count == 0 ? [(prefix + sub.Name, sub)] : Leaves(sub, prefix + sub.Name + " "));

    /// <summary>From a command's heading to that of the next.</summary>
    private static string Entry(string path)
    {
        (string Path, int At)[] headings = [.. Headings()];
        int index = Array.FindIndex(headings, heading => heading.Path == path);
        Assert.True(index >= 0, $"{path} has no entry in {File}");
        string commands = Section("COMMANDS");
        return commands[headings[index].At..(index + 1 < headings.Length ? headings[index + 1].At : commands.Length)];
    }

    /// <summary>The headings of commands: paragraphs with a tag in lower-case bold words.</summary>
    private static IEnumerable<(string Path, int At)> Headings() =>
        Heading().Matches(Section("COMMANDS")).Select(match => (match.Groups["path"].Value.Trim(), match.Groups["line"].Index));

    private static string Section(string name)
    {
        int start = Text.IndexOf($"\n.SH \"{name}\"\n", StringComparison.Ordinal);
        start = start >= 0 ? start : Text.IndexOf($"\n.SH {name}\n", StringComparison.Ordinal);
        Assert.True(start >= 0, $"no section {name} in {File}");
        int end = Text.IndexOf("\n.SH ", start + 1, StringComparison.Ordinal);
        return Text[start..(end >= 0 ? end : Text.Length)];
    }

    [GeneratedRegex(@"\\f[BIRP]")]
    private static partial Regex Fonts();

    [GeneratedRegex(@"^\.TP\n(?<line>\.BI?R? ""?(?<path>[a-z][a-z -]*))", RegexOptions.Multiline)]
    private static partial Regex Heading();

    [GeneratedRegex(@"^\w*\$ +migrationd ")]
    private static partial Regex Prompt();
}
