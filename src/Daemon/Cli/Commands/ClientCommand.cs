using System.CommandLine;
using System.Text;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Help;
using MigrationD.Daemon.Cli.Options;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Json;
using MigrationD.Daemon.Options;
using Spectre.Console;

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

    /// <summary>A command that writes to <paramref name="console"/>.</summary>
    protected ClientCommand(string name, string description, CliConsole console)
        : base(name, description)
    {
        Terminal = console;
        Options.Add(_control);
        Options.Add(Json);
        SetAction(async (parse, cancellation) =>
        {
            using var client = new ControlClient(SocketPath(parse));
            return await RunAsync(parse, client, cancellation);
        });
    }

    /// <summary>Where it writes.</summary>
    protected CliConsole Terminal { get; }

    /// <summary>Whether the result is to be JSON.</summary>
    protected JsonOption Json { get; } = new();

    /// <summary>Writes the result: one line of JSON where that is asked for, otherwise what people read.</summary>
    /// <returns><see cref="ExitCode.Ok"/>.</returns>
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

    /// <summary>Writes what there is of a kind; people are told what to do where there is nothing.</summary>
    /// <returns><see cref="ExitCode.Ok"/>.</returns>
    protected int ShowList<T, TJson>(
        ParseResult parse, IReadOnlyList<T> all, Func<T, TJson> json, string none, Action<IAnsiConsole, IReadOnlyList<T>> forPeople) =>
        Show<IReadOnlyList<TJson>>(parse, [.. all.Select(json)], () =>
        {
            if (all.Count == 0)
            {
                Terminal.Out.WriteLine(none);
            }
            else
            {
                forPeople(Terminal.Ansi, all);
            }
        });

    /// <summary>Does the work; returns one of <see cref="ExitCode"/>.</summary>
    /// <exception cref="CliException">It cannot be done.</exception>
    protected abstract Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellation);

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
