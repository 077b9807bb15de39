using System.CommandLine;
using System.Runtime.InteropServices;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Help;
using MigrationD.Daemon.Cli.Options;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Doctor;
using MigrationD.Daemon.Json;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli.Demo;

/// <summary>Shows a migration from end to end on this machine.</summary>
internal sealed class DemoCommand : CliCommand
{
    private readonly CliConsole _console;
    private readonly JsonOption _json = new();
    private readonly GuestSpecOptions _spec;
    private readonly MigrationPlanOptions _plan;

    private readonly WordOption<GuestKind> _guest = new("--guest",
        "The kind of guest [default: kvm when /dev/kvm is usable, else workload]");

    public DemoCommand(CliConsole console)
        : base("demo", "Start two daemons on loopback, create a guest on one, migrate it to the other while it runs, and report.")
    {
        _console = console;
        Notes = ["The guest itself checks every page. The exit code is 0 only when the verdict is ok."];
        Examples =
        [
            "migrationd demo",
            "migrationd demo --json",
            "migrationd demo --guest workload --memory 1GiB --vcpus 4 --pattern zipf --placement copy",
        ];
        Options.Add(_guest);
        _spec = new GuestSpecOptions(this);
        _plan = new MigrationPlanOptions(this);
        Options.Add(_json);
        SetAction(RunAsync);
    }

    private async Task<int> RunAsync(ParseResult parse, CancellationToken cancellationToken)
    {
        var json = parse.GetValue(_json);
        var view = new DemoView(json ? new CliConsole(TextWriter.Null, TextWriter.Null, isTerminal: false) : _console);

        // System.CommandLine turns SIGINT and SIGTERM into a cancellation; a closed terminal has to end the daemons as well.
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, signal =>
        {
            signal.Cancel = true;
            ended.Cancel();
        });

        var run = new DemoRun(_spec.Read(parse, "pulse", ChooseKind(parse, view)), _plan.Read(parse, "pulse", ""), view);
        var failure = WhatIsMissing();
        try
        {
            if (failure is null)
            {
                await run.RunAsync(ended.Token);
            }
        }
        catch (OperationCanceledException) when (json)
        {
            var interrupted = run.Evidence with { Failure = "interrupted" };
            CliJson.WriteLine(_console.Out, Shape(interrupted, DemoVerdict.Problems(interrupted)));
            return ExitCode.Interrupted;
        }

        var evidence = failure is null ? run.Evidence : run.Evidence with { Failure = failure };
        var problems = DemoVerdict.Problems(evidence);
        if (json)
        {
            CliJson.WriteLine(_console.Out, Shape(evidence, problems));
            return problems.Count == 0 ? ExitCode.Ok : ExitCode.Failed;
        }

        view.Report(evidence, problems);
        return problems.Count == 0 ? ExitCode.Ok : throw new CliException(
            ExitCode.Failed, "demo-failed", "the demo failed: " + string.Join("\n", problems));
    }

    /// <summary>What the demo prints with --json.</summary>
    internal static DemoJson Shape(DemoEvidence evidence, IReadOnlyList<string> problems) => new(
        problems.Count == 0 ? "ok" : "failed",
        problems.Count == 0 ? null : string.Join("; ", problems),
        evidence is { Spec: { } spec, Before: { } before }
            ? JsonShapes.DemoGuest(spec, before, evidence.AtDestination?.Report ?? before)
            : null,
        evidence.Migration is { } migration ? JsonShapes.DemoMigration(migration) : null);

    private static string? WhatIsMissing()
    {
        var report = DoctorReport.OfThisHost();
        return report.CanMigrate ? null : "this host cannot migrate guests: "
            + string.Join("; ", report.Findings
                .Where(finding => finding.Status == DoctorStatus.Missing)
                .Select(finding => $"{finding.Name}: {finding.Found}; to mend: {finding.Remedy}"));
    }

    private GuestKind ChooseKind(ParseResult parse, DemoView view)
    {
        if (_guest.IsGiven(parse))
        {
            return _guest.Read(parse);
        }

        var kvm = KvmCheck.Run();
        if (kvm.Status == DoctorStatus.Ok)
        {
            return GuestKind.Kvm;
        }

        view.Say($"no microVM here, so the guest is of kind workload: {kvm.Found}");
        return GuestKind.Workload;
    }
}
