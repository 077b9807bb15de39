using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Help;
using MigrationD.Daemon.Cli.Options;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Doctor;
using MigrationD.Daemon.Json;
using Spectre.Console;

namespace MigrationD.Daemon.Cli.Commands;

/// <summary>Says whether guests can migrate from and to this host.</summary>
internal sealed class DoctorCommand : CliCommand
{
    private readonly JsonOption _json = new();
    private readonly CliConsole _console;

    public DoctorCommand(CliConsole console)
        : base("doctor", "Check what this host can do for migrations, as this user, and say how to mend what is missing.")
    {
        _console = console;
        Notes = ["Needs no daemon. The exit code is 0 when guests can migrate here (warnings allowed), 1 when not."];
        Examples = ["migrationd doctor", "sudo -u migrationd migrationd doctor --json"];
        Options.Add(_json);
        SetAction(Run);
    }

    private int Run(ParseResult parse)
    {
        var report = DoctorReport.OfThisHost();
        if (parse.GetValue(_json))
        {
            CliJson.WriteLine(_console.Out, Shape(report));
        }
        else
        {
            Write(report);
        }

        return report.CanMigrate ? ExitCode.Ok : ExitCode.Failed;
    }

    internal static DoctorJson Shape(DoctorReport report) => new(
        report.Verdict,
        [.. report.Findings.Select(one => new DoctorJson.Check(one.Name, Words.Of(one.Status), one.Found, one.Remedy))]);

    private void Write(DoctorReport report)
    {
        var width = report.Findings.Max(finding => finding.Name.Length);
        foreach (var finding in report.Findings)
        {
            var (word, color) = finding.Status switch
            {
                DoctorStatus.Ok => ("ok     ", Color.Green),
                DoctorStatus.Warning => ("warning", Color.Yellow),
                _ => ("missing", Color.Red),
            };
            _console.Ansi.Write(new Text(word, new Style(color)));
            _console.Ansi.Write(new Text($"  {finding.Name.PadRight(width)}  {finding.Found}\n"));
            if (finding.Remedy is not null)
            {
                _console.Ansi.Write(new Text($"{new string(' ', word.Length)}  {new string(' ', width)}  to mend: {finding.Remedy}\n"));
            }
        }

        _console.Ansi.WriteLine();
        _console.Ansi.WriteLine(report.Verdict switch
        {
            "ok" => "Guests can migrate from and to this host.",
            "warnings" => "Guests can migrate from and to this host; the warnings say what would be better.",
            _ => "No guest can migrate to this host until what is missing is mended.",
        });
    }
}
