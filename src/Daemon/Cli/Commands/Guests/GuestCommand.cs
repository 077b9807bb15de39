using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Help;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Cli.Views;
using MigrationD.Daemon.Json;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli.Commands.Guests;

/// <summary>The group of commands about guests.</summary>
internal sealed class GuestCommand : CliCommand
{
    public GuestCommand(CliConsole console)
        : base("guest", "Create, look at, pause, resume and delete the guests of a daemon.")
    {
        Examples =
        [
            "migrationd guest create web --kind kvm --memory 256MiB --vcpus 2",
            "migrationd guest list",
            "migrationd guest show web --json",
            "migrationd guest pause web && migrationd guest hash web && migrationd guest resume web",
            "migrationd guest console web --follow",
            "migrationd guest delete web",
        ];
        Subcommands.Add(new GuestCreateCommand(console));
        Subcommands.Add(new ListCommand<Protocol.V1.Guest, GuestJson>(
            "List the daemon's guests, those that have moved to another host included.", console,
            (client, cancellationToken) => client.ListGuestsAsync(cancellationToken), JsonShapes.Of,
            "no guests; create one with 'migrationd guest create NAME'", GuestView.WriteList)
        {
            Examples = ["migrationd guest list", "migrationd guest list --json"],
        });
        Subcommands.Add(StateCommand("show", "Show one guest with what it reports of itself.", console,
            (client, guest, cancellationToken) => client.GetGuestAsync(guest, cancellationToken)));
        Subcommands.Add(StateCommand("pause", "Stop a guest's vCPUs. Its memory stays.", console,
            (client, guest, cancellationToken) => client.PauseGuestAsync(guest, cancellationToken)));
        Subcommands.Add(StateCommand("resume", "Let a paused guest go on.", console,
            (client, guest, cancellationToken) => client.ResumeGuestAsync(guest, cancellationToken)));
        Subcommands.Add(new SubjectCommand<DeleteGuestResponse, GuestDeletedJson>(
            "delete", "End a guest and free its memory, or forget one that has moved away or ended with its daemon.", console,
            NameArgument(), (client, guest, cancellationToken) => client.DeleteGuestAsync(guest, cancellationToken),
            (guest, _) => new(guest, Deleted: true), (terminal, guest, _) => terminal.Out.WriteLine($"guest {guest} deleted"))
        {
            Examples = ["migrationd guest delete web"],
        });
        Subcommands.Add(new SubjectCommand<string, GuestHashJson>(
            "hash", "SHA-256 of a paused guest's whole memory, to compare before and after a migration.", console,
            NameArgument(), (client, guest, cancellationToken) => client.HashGuestAsync(guest, cancellationToken),
            // As sha256sum prints it.
            (guest, hash) => new(guest, hash), (terminal, guest, hash) => terminal.Out.WriteLine($"{hash}  {guest}"))
        {
            Examples = ["migrationd guest pause web && migrationd guest hash web"],
        });
        Subcommands.Add(new GuestDumpCommand(console));
        Subcommands.Add(new GuestConsoleCommand(console));
    }

    /// <summary>The argument that names a guest that is there.</summary>
    public static Argument<string> NameArgument()
    {
        var name = new Argument<string>("NAME") { Description = "The guest's name." };
        name.CompletionSources.Add(DaemonNames.Guests);
        return name;
    }

    /// <summary>A command that asks something of one guest and shows the guest as it is then.</summary>
    private static SubjectCommand<Protocol.V1.Guest, GuestJson> StateCommand(
        string name, string description, CliConsole console,
        Func<ControlClient, string, CancellationToken, Task<Protocol.V1.Guest>> call) =>
        new(name, description, console, NameArgument(), call, (_, guest) => JsonShapes.Of(guest),
            (terminal, _, guest) => GuestView.Write(terminal.Ansi, guest))
        {
            Examples = [$"migrationd guest {name} web"],
        };
}
