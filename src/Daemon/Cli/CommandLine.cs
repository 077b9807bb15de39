using System.CommandLine;
using System.CommandLine.Completions;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Commands;
using MigrationD.Daemon.Cli.Commands.Certs;
using MigrationD.Daemon.Cli.Commands.Config;
using MigrationD.Daemon.Cli.Commands.Guests;
using MigrationD.Daemon.Cli.Commands.Migrations;
using MigrationD.Daemon.Cli.Demo;
using MigrationD.Daemon.Cli.Help;
using MigrationD.Daemon.Cli.Options;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Json;

namespace MigrationD.Daemon.Cli;

/// <summary>The whole command line of <c>migrationd</c>.</summary>
internal sealed class CommandLine
{
    /// <summary>
    /// How long a command may take to end after SIGINT or SIGTERM: the demo has to end two daemons. A daemon hears of them by itself, and
    /// keeps to its own --stop-timeout.
    /// </summary>
    private static readonly TimeSpan TerminationTimeout = TimeSpan.FromSeconds(30);

    private readonly CliConsole _console;

    public CommandLine(CliConsole console)
    {
        _console = console;
        Root = new RootCommand(
            "migrationd moves a running guest to another host before its memory has moved (post-copy live migration).\n"
            + "One program: 'serve' is the daemon, one on every host; everything else talks to it over its control socket.")
        {
            new ServeCommand(),
            new GuestCommand(console),
            new MigrateCommand(console),
            new MigrationCommand(console),
            new DrainCommand(console),
            new UndrainCommand(console),
            new NodeCommand(console),
            new HealthCommand(console),
            new TopCommand(console),
            new DoctorCommand(console),
            new CertsCommand(console),
            new ConfigCommand(console),
            new DemoCommand(console),
            new CompletionCommand(console),
        };

        // Run as "dotnet migrationd.dll" it still goes by its own name.
        Root.HelpName = "migrationd";
        foreach (var help in Root.Options.OfType<HelpOption>())
        {
            help.Action = new HelpWithExamples(help.Action as HelpAction ?? new HelpAction());
        }

        foreach (var suggest in Root.Directives.OfType<SuggestDirective>())
        {
            suggest.Action = new SuggestAction(Root, suggest);
        }
    }

    public RootCommand Root { get; }

    /// <summary>Runs one command line to its end, with one of <see cref="ExitCode"/>.</summary>
    public async Task<int> RunAsync(string[] args, CancellationToken cancellationToken = default)
    {
        var json = args.Contains(JsonOption.Flag);
        try
        {
            var parse = Root.Parse(args.Length == 0 ? ["--help"] : args);
            if (parse.Action is null or ParseErrorAction)
            {
                throw Misused(parse);
            }

            var invocation = new InvocationConfiguration
            {
                Output = _console.Out,
                Error = _console.Error,
                EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = parse.CommandResult.Command is ServeCommand ? null : TerminationTimeout,
            };
            return await parse.InvokeAsync(invocation, cancellationToken);
        }
        catch (CliException error)
        {
            return Fail(json, error.Code, error.Message, error.ExitCode);
        }
        catch (OperationCanceledException)
        {
            return Fail(json, "interrupted", "interrupted", ExitCode.Interrupted);
        }
        catch (Exception error)
        {
            // The one place where nothing better can be done with an unforeseen failure than to say all there is to say.
            return Fail(json, "internal", $"unexpected failure, please report it with this text and the command: {error}", ExitCode.Failed);
        }
    }

    private static CliException Misused(ParseResult parse)
    {
        var path = CommandPath(parse.CommandResult);

        // A word that is no command is reported as that and as a missing command; only the first helps.
        var errors = parse.Errors.Select(error => error.Message).ToArray();
        var problems = string.Join("\n", parse.UnmatchedTokens.Count > 0 && errors.Length > 1 ? errors.Skip(1) : errors);
        return new CliException(ExitCode.Usage, "usage", $"{problems}\nSee '{path} --help'.");
    }

    private static string CommandPath(CommandResult result)
    {
        var names = new List<string>();
        for (SymbolResult? at = result; at is CommandResult command; at = at.Parent)
        {
            names.Insert(0, command.Command is RootCommand ? "migrationd" : command.Command.Name);
        }

        return string.Join(' ', names);
    }

    private int Fail(bool json, string code, string message, int exitCode)
    {
        if (json)
        {
            CliJson.WriteLine(_console.Error, new ErrorJson(new(code, message, exitCode)));
        }
        else
        {
            _console.Error.WriteLine($"migrationd: {message}");
        }

        return exitCode;
    }
}
