using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Json;

namespace MigrationD.Daemon.Cli.Commands.Guests;

/// <summary>Hashes a guest's memory.</summary>
internal sealed class GuestHashCommand : ClientCommand
{
    private readonly Argument<string> _name = GuestCommand.NameArgument();

    /// <summary>The command.</summary>
    public GuestHashCommand(CliConsole console)
        : base("hash", "SHA-256 of a paused guest's whole memory, to compare before and after a migration.", console)
    {
        Examples = ["migrationd guest pause web && migrationd guest hash web"];
        Arguments.Add(_name);
    }

    /// <inheritdoc/>
    protected override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellation)
    {
        var name = parse.GetRequiredValue(_name);
        var hash = await client.HashGuestAsync(name, cancellation);
        // As sha256sum prints it.
        return Show(parse, new GuestHashJson(name, hash), () => Terminal.Out.WriteLine($"{hash}  {name}"));
    }
}
