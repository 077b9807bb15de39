using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using MigrationD.Daemon.Cli.Client;

namespace MigrationD.Daemon.Cli.Help;

/// <summary>The usual help, then notes and examples to copy, then (for the root) what the exit codes mean.</summary>
internal sealed class HelpWithExamples(HelpAction usual) : SynchronousCommandLineAction
{
    private static readonly string[] RootExamples =
    [
        "migrationd doctor                             what this host can do, and what is missing",
        "migrationd demo                               two daemons here, one guest, one migration, a report",
        "migrationd serve                              the daemon, in the foreground",
        "migrationd guest create web                   a guest that checks its own memory",
        "migrationd migrate web --to 10.0.0.6:7461     move it while it runs",
    ];

    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parseResult)
    {
        usual.Invoke(parseResult);
        var output = parseResult.InvocationConfiguration.Output;
        var command = parseResult.CommandResult.Command;
        WriteSection(output, "Notes:", command is CliCommand noted ? noted.Notes : []);
        WriteSection(output, "Examples:", command is CliCommand own ? own.Examples : command is RootCommand ? RootExamples : []);
        if (command is RootCommand)
        {
            WriteSection(output, "Exit codes:", ExitCode.All.Select(code => $"{code.Code,-4} {code.Meaning}"));
            WriteSection(output, "With --json:",
            [
                "the result is JSON on standard output, an error is JSON on standard error:",
                """{"error":{"code":"not-found","message":"...","exitCode":4}}""",
            ]);
        }

        return ExitCode.Ok;
    }

    private static void WriteSection(TextWriter output, string title, IEnumerable<string> lines)
    {
        var all = lines.ToArray();
        if (all.Length == 0)
        {
            return;
        }

        output.WriteLine(title);
        foreach (var line in all)
        {
            output.WriteLine("  " + line);
        }

        output.WriteLine();
    }
}
