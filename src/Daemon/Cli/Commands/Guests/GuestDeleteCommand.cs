using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Json;

namespace MigrationD.Daemon.Cli.Commands.Guests;

/// <summary>Ends a guest.</summary>
internal sealed class GuestDeleteCommand : ClientCommand
{
    private readonly Argument<string> _name = GuestCommand.NameArgument();

    /// <summary>The command.</summary>
    public GuestDeleteCommand(CliConsole console)
        : base("delete", "End a guest and free its memory, or forget one that has moved away or ended with its daemon.", console)
    {
        Examples = ["migrationd guest delete web"];
        Arguments.Add(_name);
    }

    /// <inheritdoc/>
    protected override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellation)
    {
        var name = parse.GetRequiredValue(_name);
        await client.DeleteGuestAsync(name, cancellation);
        return Show(parse, new GuestDeletedJson(name, Deleted: true), () => Terminal.Out.WriteLine($"guest {name} deleted"));
    }
}
