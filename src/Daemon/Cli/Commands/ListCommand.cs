using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;
using Spectre.Console;

namespace MigrationD.Daemon.Cli.Commands;

/// <summary>
/// A command that lists what the daemon has of a kind; where there is nothing, <paramref name="none"/> tells people what to do.
/// </summary>
internal sealed class ListCommand<T, TJson>(
    string description, CliConsole console, Func<ControlClient, CancellationToken, Task<IReadOnlyList<T>>> call, Func<T, TJson> json,
    string none, Action<IAnsiConsole, IReadOnlyList<T>> forPeople) : ClientCommand("list", description, console)
{
    protected override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellationToken)
    {
        var all = await call(client, cancellationToken);
        return Show<IReadOnlyList<TJson>>(parse, [.. all.Select(json)], () =>
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
    }
}
