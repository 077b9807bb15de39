using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Cli.Views;
using MigrationD.Daemon.Json;

namespace MigrationD.Daemon.Cli.Commands.Guests;

/// <summary>A command that asks something of one guest and shows the guest as it is then.</summary>
internal sealed class GuestStateCommand : ClientCommand
{
    private readonly Argument<string> _name = GuestCommand.NameArgument();
    private readonly Func<ControlClient, string, CancellationToken, Task<Protocol.V1.Guest>> _call;

    /// <summary>A command that makes <paramref name="call"/>.</summary>
    public GuestStateCommand(
        string name,
        string description,
        CliConsole console,
        Func<ControlClient, string, CancellationToken, Task<Protocol.V1.Guest>> call)
        : base(name, description, console)
    {
        Examples = [$"migrationd guest {name} web"];
        _call = call;
        Arguments.Add(_name);
    }

    /// <inheritdoc/>
    protected override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellation)
    {
        var guest = await _call(client, parse.GetRequiredValue(_name), cancellation);
        return Show(parse, JsonShapes.Of(guest), () => GuestView.Write(Terminal.Ansi, guest));
    }
}
