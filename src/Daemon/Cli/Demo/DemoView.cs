using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Cli.Views;
using MigrationD.Protocol.V1;
using static System.FormattableString;

namespace MigrationD.Daemon.Cli.Demo;

/// <summary>Tells the demo to a person.</summary>
internal sealed class DemoView(CliConsole console)
{
    private const string Faster =
        """
        These figures are of a program that is compiled while it runs. What is shipped is native code: it starts sooner, its first migration
        has less downtime, and it takes less memory. In a clone, with gcc or clang (Debian: gcc libc6-dev):
          $(deploy/native.sh) demo
        """;

    public void Say(string line)
    {
        console.Out.WriteLine(line);
        console.Out.Flush();
    }

    public Task<Migration> FollowAsync(IAsyncEnumerable<Migration> updates) => MigrationProgress.ShowAsync(console, updates);

    /// <summary>Reports at the end.</summary>
    public void Report(DemoEvidence evidence, IReadOnlyList<string> problems)
    {
        Say("");
        if (evidence.Migration is { } migration)
        {
            MigrationView.Write(console.Ansi, migration);
            Say("");
        }

        if (evidence.AtDestination is { Report: { } after } && evidence.Before is { } before)
        {
            FieldView.Write(console.Ansi,
            [
                ("guest's steps", Invariant($"{before.Steps:N0} before the migration, {after.Steps:N0} at the end")),
                ("guest's sweeps", Invariant($"{before.Sweeps:N0} before the migration, {after.Sweeps:N0} at the end")),
                ("corrupt pages", Invariant($"{after.CorruptPages:N0}")),
                ("largest gap", Invariant($"{after.LargestGapUs / 1000.0:N1} ms between two steps, as the guest itself measured")),
            ]);
            Say("");
        }

        Say(problems.Count == 0 ? "verdict: ok" : "verdict: FAILED");
        if (!ThisProgram.IsNative && evidence.Migration is not null)
        {
            Say("");
            Say(Faster);
        }
    }
}
