using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;

namespace MigrationD.Daemon.Cli.Commands;

/// <summary>A command that makes one call about one guest or migration, and shows the answer.</summary>
internal sealed class SubjectCommand<TAnswer, TJson>(
    string name, string description, CliConsole console, Argument<string> subject,
    Func<ControlClient, string, CancellationToken, Task<TAnswer>> call, Func<string, TAnswer, TJson> json,
    Action<CliConsole, string, TAnswer> forPeople) : ClientCommand(name, description, console, subject)
{
    protected override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellationToken)
    {
        var about = parse.GetRequiredValue(subject);
        var answer = await call(client, about, cancellationToken);
        return Show(parse, json(about, answer), () => forPeople(Terminal, about, answer));
    }
}
