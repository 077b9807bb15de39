using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using MigrationD.EndToEnd.Tests.Security;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests;

/// <summary>A guest's serial port, before, through and after migrations, as an operator looks at it.</summary>
public sealed partial class ConsoleTests
{
    private const Needs Host = Needs.Userfaultfd | Needs.Kvm;
    private const int Refused = 5;

    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    // Some lines of each vCPU.
    private const int Some = 600;

    [MachineFact(Host)]
    public async Task A_followed_console_goes_through_a_migration_with_every_line_once_and_in_order()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", "kvm", "64MiB", "48MiB");
        string before = (await source.CliAsync("guest", "console", "g")).Succeeds().Output;
        await using FollowedConsole followed = FollowedConsole.Start(source, "g");
        await followed.UntilAsync(one => one.Text.Length > before.Length + Some, "lines on the source");

        await source.MigrateAsync("g", destination);
        int migrated = followed.Text.Length;
        await followed.UntilAsync(one => one.Text.Length > migrated + Some, "lines on the destination, through the source");
        (await destination.CliAsync("guest", "pause", "g")).Succeeds();
        (long end, string kept) = await ConsoleAsync(destination);
        await followed.UntilAsync(one => one.Text.Length >= end, "the last line before the pause");

        string all = followed.Text;
        Assert.Equal(end, all.Length);
        Assert.StartsWith(before, all, StringComparison.Ordinal);
        Assert.EndsWith(kept, all, StringComparison.Ordinal);
        Assert.True(kept.Length > all.Length - migrated, "the destination has lines from before the migration");
        AssertEveryLineOnce(all, vcpus: 2);
        Assert.Contains(destination.Listen, followed.Words, StringComparison.Ordinal);

        // The source has nothing of it any more but the way there.
        CommandResult relayed = (await source.CliAsync("guest", "console", "g")).Succeeds();
        Assert.Equal(kept, relayed.Output);
        Assert.Contains(destination.Listen, relayed.Error, StringComparison.Ordinal);

        (await destination.CliAsync("guest", "delete", "g")).Succeeds();
        Assert.Equal(0, await followed.ExitAsync());
        Assert.Contains("'g' was deleted", followed.Words, StringComparison.Ordinal);
        (await source.CliAsync("guest", "console", "g")).Fails(destination.Listen, "no guest 'g'");
    }

    [MachineFact(Host)]
    public async Task It_is_followed_there_and_back_and_on_to_a_third_node()
    {
        // With certificates: what is passed on goes the way that pages go, and nobody else hears it.
        using var authority = new Authority();
        await using DaemonProcess one = await DaemonProcess.StartAsync("one", "--tls", authority.Issue("one", "127.0.0.1"));
        await using DaemonProcess two = await DaemonProcess.StartAsync("two", "--tls", authority.Issue("two", "127.0.0.1"));
        await using DaemonProcess three = await DaemonProcess.StartAsync("three", "--tls", authority.Issue("three", "127.0.0.1"));
        await one.CreateGuestAsync("g", "kvm", "32MiB", "16MiB");
        await using FollowedConsole followed = FollowedConsole.Start(one, "g");
        foreach ((DaemonProcess from, DaemonProcess to) in new[] { (one, two), (two, one), (one, three) })
        {
            int length = followed.Text.Length;
            await followed.UntilAsync(console => console.Text.Length > length + Some, "lines where it is");
            await from.MigrateAsync("g", to);
        }

        int last = followed.Text.Length;
        await followed.UntilAsync(console => console.Text.Length > last + Some, "lines on the third node");
        (await three.CliAsync("guest", "pause", "g")).Succeeds();
        (long end, string kept) = await ConsoleAsync(three);
        await followed.UntilAsync(console => console.Text.Length >= end, "the last line before the pause");
        Assert.Equal(end, followed.Text.Length);
        Assert.EndsWith(kept, followed.Text, StringComparison.Ordinal);
        AssertEveryLineOnce(followed.Text, vcpus: 2);
        Assert.Equal(kept, (await one.CliAsync("guest", "console", "g")).Succeeds().Output);
    }

    [MachineFact(Host)]
    public async Task When_the_guest_goes_on_at_the_source_what_it_wrote_elsewhere_is_said_to_be_void()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync(
            "source", start => start.Environment["MIGRATIOND_FAULT"] = "source.stream:wait",
            "--link-timeout", "2s", "--recovery-timeout", "1s");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", "kvm", "32MiB", "16MiB");
        await using FollowedConsole followed = FollowedConsole.Start(source, "g", "--json");
        await followed.UntilAsync(console => console.Text.Length > Some, "lines on the source");
        string id = await source.BeginMigrationAsync("g", destination);
        await followed.UntilAsync(
            console => console.Text.Split('\n').SkipWhile(line => !line.Contains("moved", StringComparison.Ordinal))
                .Count(line => line.Contains("base64", StringComparison.Ordinal)) > 2,
            "lines from the destination");
        await destination.KillAsync();
        source.GoOn();
        await followed.UntilAsync(console => console.Text.Contains("cannot be read", StringComparison.Ordinal), "that it cannot be read");
        await source.MigrationUntilAsync(id, one => one.Reason.Contains("--resume-here", StringComparison.Ordinal));
        (await source.CliAsync("migration", "resolve", id, "--resume-here", "--force")).Succeeds();

        int resumed = followed.Text.Length;
        await followed.UntilAsync(console => console.Text.Length > resumed + Some, "lines on the source again");
        (await source.CliAsync("guest", "pause", "g")).Succeeds();
        (long end, string kept) = await ConsoleAsync(source);
        await followed.UntilAsync(console => Play(console.Text, out _).Length >= end, "the last line before the pause");
        string played = Play(followed.Text, out int voided);
        Assert.EndsWith(kept, played, StringComparison.Ordinal);
        Assert.Equal(end, played.Length);
        Assert.True(voided > 0, "what came from the destination is taken back");
        AssertEveryLineOnce(played, vcpus: 2);
    }

    [MachineFact(Host)]
    public async Task A_console_whose_node_is_gone_is_waited_for_until_its_record_is_deleted()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", "--link-timeout", "2s");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", "kvm", "32MiB", "16MiB", vcpus: 1);
        await source.MigrateAsync("g", destination);
        await using FollowedConsole followed = FollowedConsole.Start(source, "g");
        await followed.UntilAsync(console => console.Text.Length > 0, "lines from the destination");

        await destination.KillAsync();
        await followed.UntilAsync(console => console.Words.Contains("cannot be read", StringComparison.Ordinal), "that it cannot be read");
        Assert.Equal(
            Refused, (await source.CliAsync("guest", "console", "g")).Fails(destination.Listen, "cannot be read there").ExitCode);
        (await source.CliAsync("guest", "delete", "g")).Succeeds();
        Assert.Equal(0, await followed.ExitAsync());
    }

    [MachineFact(Host)]
    public async Task A_reader_may_leave_and_one_file_takes_both_outputs()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", "kvm", "32MiB", "16MiB", vcpus: 1);
        Assert.Matches(ReportLine(), (await ShellAsync("\"$0\" guest console g --follow --control \"$1\" | head -n 1", source)).TrimEnd('\n'));

        string id = (await source.MigrateAsync("g", destination)).Id;
        (await destination.CliAsync("guest", "pause", "g")).Succeeds();
        string kept = (await ConsoleAsync(destination)).Kept;
        string both = await ShellAsync("\"$0\" guest console g --control \"$1\" > \"$2\" 2>&1 && cat \"$2\"", source);
        Assert.Equal(
            $"migrationd: guest g went to {destination.Listen} in migration {id}; what follows comes from there\n{kept}", both);
    }

    [MachineFact(Needs.Userfaultfd)]
    public async Task A_guest_without_a_serial_port_is_refused_here_and_where_it_went()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", "workload", "16MiB", "4MiB");
        Assert.Equal(Refused, (await source.CliAsync("guest", "console", "g")).Fails("no serial port", "guest show g").ExitCode);
        await source.MigrateAsync("g", destination);
        Assert.Equal(Refused, (await source.CliAsync("guest", "console", "g", "--follow")).Fails("no serial port").ExitCode);
        Assert.Equal(Refused, (await destination.CliAsync("guest", "console", "g")).Fails("no serial port").ExitCode);
        Assert.Equal(4, (await source.CliAsync("guest", "console", "nobody")).Fails("nobody").ExitCode);
    }

    /// <summary>Runs a line of sh: $0 is the program, $1 the control socket, $2 a file. What it prints.</summary>
    private static async Task<string> ShellAsync(string line, DaemonProcess daemon)
    {
        using var scratch = new Scratch();
        using Process shell = Process.Start(new ProcessStartInfo(
            "/bin/sh", ["-c", line, ProgramUnderTest.Start().FileName, daemon.Control, scratch.PathOf("file")])
        {
            RedirectStandardOutput = true,
        })!;
        try
        {
            string output = await shell.StandardOutput.ReadToEndAsync().WaitAsync(Deadline);
            await shell.WaitForExitAsync().WaitAsync(Deadline);
            return output;
        }
        finally
        {
            shell.Kill(entireProcessTree: true);
        }
    }

    /// <summary>What is kept of the console, and how much the guest has written in all.</summary>
    private static async Task<(long End, string Kept)> ConsoleAsync(DaemonProcess daemon)
    {
        string lines = (await daemon.CliAsync("guest", "console", "g", "--json")).Succeeds().Output;
        string kept = Play(lines, out _);
        long first = (long)JsonNode.Parse(lines.Split('\n')[0])!["offset"]!;
        return (first + kept.Length, kept);
    }

    /// <summary>The console that a stream of JSON lines comes to: what is taken back is not in it.</summary>
    private static string Play(string lines, out int voided)
    {
        var console = new StringBuilder();
        voided = 0;
        long? first = null;
        // The last line may not be whole yet.
        foreach (string line in lines.Split('\n')[..^1])
        {
            JsonNode chunk = JsonNode.Parse(line)!;
            if ((string?)chunk["base64"] is not { } bytes)
            {
                continue;
            }

            first ??= (long)chunk["offset"]!;
            int at = (int)((long)chunk["offset"]! - first);
            Assert.True(at <= console.Length, $"bytes are missing before {chunk["offset"]}");
            voided += console.Length - at;
            console.Length = at;
            console.Append(Encoding.ASCII.GetString(Convert.FromBase64String(bytes)));
        }

        return console.ToString();
    }

    /// <summary>
    /// Whole lines, and each vCPU's steps only ever grow, once its pages are filled: a line that came twice or in the wrong place would break
    /// that.
    /// </summary>
    private static void AssertEveryLineOnce(string console, int vcpus)
    {
        Assert.EndsWith("\n", console, StringComparison.Ordinal);
        var steps = new long[vcpus];
        foreach (string line in console[..^1].Split('\n'))
        {
            Match report = ReportLine().Match(line);
            Assert.True(report.Success, $"no line of the guest: '{line}'");
            int vcpu = int.Parse(report.Groups[1].Value);
            long now = Convert.ToInt64(report.Groups[2].Value, 16);
            Assert.True(now > steps[vcpu] || (now, steps[vcpu]) == (0, 0), $"after step {steps[vcpu]:x}: {line}");
            steps[vcpu] = now;
        }

        Assert.All(steps, step => Assert.True(step > 0));
    }

    [GeneratedRegex("^pulse vcpu=([0-9]+) steps=([0-9a-f]+) sweeps=[0-9a-f]+ corrupt=0 gap=[0-9a-f]+$")]
    private static partial Regex ReportLine();
}
