using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Json;

namespace MigrationD.Daemon.Cli.Commands;

/// <summary>Says whether the daemon works, in one line: for service managers, containers and monitoring.</summary>
internal sealed class HealthCommand : ClientCommand
{
    public HealthCommand(CliConsole console)
        : base("health", "Say whether the daemon answers and can do its work: take lanes, open /dev/userfaultfd and /dev/kvm.", console)
    {
        Notes =
        [
            "The daemon looks itself, with its own permissions, and has 5 seconds to answer. The exit code is 0 when all is well, 1 when",
            "something is not, 3 when the daemon does not answer. A host that has no KVM is well without it.",
        ];
        Examples = ["migrationd health", "migrationd health --json"];
    }

    protected override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellationToken)
    {
        var health = await client.GetHealthAsync(cancellationToken);
        var wrong = health.Checks.Where(check => !check.Ok).ToArray();
        if (parse.GetValue(Json))
        {
            CliJson.WriteLine(Terminal.Out, JsonShapes.Of(health));
            return wrong.Length == 0 ? ExitCode.Ok : ExitCode.Failed;
        }

        if (wrong.Length > 0)
        {
            var reasons = wrong.Select(check => check.Remedy.Length == 0 ? check.Found : $"{check.Found}; to mend: {check.Remedy}");
            throw new CliException(ExitCode.Failed, "unhealthy", $"node {health.Node} cannot do its work: {string.Join("; ", reasons)}");
        }

        Terminal.Out.WriteLine($"node {health.Node} is well: {string.Join("; ", health.Checks.Select(check => check.Found))}");
        return ExitCode.Ok;
    }
}
