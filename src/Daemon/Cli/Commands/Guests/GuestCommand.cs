using System.CommandLine;
using MigrationD.Daemon.Cli.Help;
using MigrationD.Daemon.Cli.Terminal;

namespace MigrationD.Daemon.Cli.Commands.Guests;

/// <summary>The group of commands about guests.</summary>
internal sealed class GuestCommand : CliCommand
{
    /// <summary>The group.</summary>
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
        Subcommands.Add(new GuestListCommand(console));
        Subcommands.Add(new GuestStateCommand("show", "Show one guest with what it reports of itself.", console,
            (client, name, cancellation) => client.GetGuestAsync(name, cancellation)));
        Subcommands.Add(new GuestStateCommand("pause", "Stop a guest's vCPUs. Its memory stays.", console,
            (client, name, cancellation) => client.PauseGuestAsync(name, cancellation)));
        Subcommands.Add(new GuestStateCommand("resume", "Let a paused guest go on.", console,
            (client, name, cancellation) => client.ResumeGuestAsync(name, cancellation)));
        Subcommands.Add(new GuestDeleteCommand(console));
        Subcommands.Add(new GuestHashCommand(console));
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
}
