using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Options;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Json;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli.Commands.Guests;

/// <summary>Creates a guest, which then runs.</summary>
internal sealed class GuestCreateCommand : ClientCommand
{
    private readonly Argument<string> _name = new("NAME")
    {
        Description = "1 to 63 characters of a-z, A-Z, 0-9, '-', '_' and '.', the first a letter or digit.",
    };

    private readonly WordOption<GuestKind> _kind = new("--kind", GuestKind.Kvm,
        "kvm: a microVM on /dev/kvm. workload: the same program on threads of the host, for hosts without KVM");

    private readonly GuestSpecOptions _spec;

    public GuestCreateCommand(CliConsole console)
        : base("create", "Create a guest and let it run. It runs a built-in program that checks its own memory.", console)
    {
        Examples =
        [
            "migrationd guest create web",
            "migrationd guest create db --kind workload --memory 1GiB --vcpus 4 --working-set 512MiB --pattern zipf",
        ];
        Arguments.Add(_name);
        Options.Add(_kind);
        _spec = new GuestSpecOptions(this);
    }

    protected override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellationToken)
    {
        var spec = _spec.Read(parse, parse.GetRequiredValue(_name), _kind.Read(parse));
        var guest = await client.CreateGuestAsync(spec, cancellationToken);
        return Show(
            parse, JsonShapes.Of(guest), () => Terminal.Out.WriteLine($"guest {guest.Spec.Name} created, {Words.Of(guest.State)}"));
    }
}
