using System.CommandLine;
using System.Text;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Help;
using MigrationD.Daemon.Cli.Options;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Json;
using MigrationD.Daemon.Options;

namespace MigrationD.Daemon.Cli.Commands;

/// <summary>A command that talks to a daemon over its control socket.</summary>
internal abstract class ClientCommand : CliCommand
{
    private readonly Option<string?> _control = new("--control")
    {
        Description = $"The daemon's control socket [default: ${DaemonOptionKey.Control.EnvironmentVariable}, else "
            + $"{DaemonOptions.DefaultControlPath}].",
        HelpName = "PATH",
    };

    /// <summary>A command that writes to <paramref name="console"/>, about <paramref name="subject"/> if that is not null.</summary>
    protected ClientCommand(string name, string description, CliConsole console, Argument? subject = null)
        : base(name, description)
    {
        Terminal = console;
        if (subject is not null)
        {
            Arguments.Add(subject);
        }

        Options.Add(_control);
        Options.Add(Json);
        SetAction(async (parse, cancellationToken) =>
        {
            using var client = new ControlClient(SocketPath(parse));
            return await RunAsync(parse, client, cancellationToken);
        });
    }

    protected CliConsole Terminal { get; }

    protected JsonOption Json { get; } = new();

    /// <summary>Writes the result: one line of JSON where that is asked for, otherwise what people read. All is well then.</summary>
    protected int Show<T>(ParseResult parse, T json, Action forPeople)
    {
        if (parse.GetValue(Json))
        {
            CliJson.WriteLine(Terminal.Out, json);
        }
        else
        {
            forPeople();
        }

        return ExitCode.Ok;
    }

    /// <summary>Does the work, and says with which of <see cref="ExitCode"/> the process ends.</summary>
    /// <exception cref="CliException">It cannot be done.</exception>
    protected abstract Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellationToken);

    /// <summary>The control socket that a command line is for.</summary>
    /// <exception cref="CliException">It cannot be one.</exception>
    internal string SocketPath(ParseResult parse)
    {
        var variable = Environment.GetEnvironmentVariable(DaemonOptionKey.Control.EnvironmentVariable);
        var given = parse.GetValue(_control) ?? (string.IsNullOrEmpty(variable) ? DaemonOptions.DefaultControlPath : variable);
        if (given.Length == 0)
        {
            throw new CliException(ExitCode.Usage, "usage", "--control is empty; give the path of the daemon's control socket");
        }

        var path = Path.GetFullPath(given);
        var bytes = Encoding.UTF8.GetByteCount(path);
        return bytes <= DaemonOptions.MaxSocketPathBytes ? path : throw new CliException(ExitCode.Usage, "usage",
            $"--control {path}: the path has {bytes} bytes, a unix socket's has at most {DaemonOptions.MaxSocketPathBytes}; use a "
            + "shorter one");
    }
}
