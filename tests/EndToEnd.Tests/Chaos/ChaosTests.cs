using System.Collections.Concurrent;
using System.Globalization;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests.Chaos;

/// <summary>
/// Real daemons on two network hosts, disturbed at random. Whatever happens, the guest runs exactly once and has every page; it may be
/// lost only with a source that was killed while pages were missing.
/// </summary>
/// <remarks>
/// <c>MIGRATIOND_CHAOS_RUNS</c> is how many runs there are, <c>MIGRATIOND_CHAOS_SEED</c> repeats one that was reported.
/// </remarks>
public sealed class ChaosTests(ITestOutputHelper output)
{
    private const int DefaultRuns = 200;

    // Runs mostly wait for timeouts.
    private const int Pairs = 5;

    private const int ReportedFailures = 5;

    [MachineFact(Needs.Userfaultfd | Needs.Kvm | Needs.NetworkNamespaces)]
    public async Task A_guest_runs_exactly_once_whatever_happens()
    {
        int? only = Read("MIGRATIOND_CHAOS_SEED");
        int first = only ?? Random.Shared.Next(1_000_000_000);
        int runs = only is null ? Read("MIGRATIOND_CHAOS_RUNS") ?? DefaultRuns : 1;
        var seeds = new ConcurrentQueue<int>(Enumerable.Range(first, runs));
        var tally = new ChaosTally();
        var failures = new ConcurrentQueue<string>();
        output.WriteLine($"seeds {first} to {first + runs - 1}");

        await Task.WhenAll(Enumerable.Range(0, Math.Min(Pairs, runs)).Select(_ => Task.Run(() => WorkAsync(seeds, tally, failures))));

        output.WriteLine($"Figure: chaos, {tally}");
        Assert.True(
            failures.IsEmpty,
            $"{failures.Count} of {runs} runs failed; {tally}\n{string.Join("\n\n", failures.Take(ReportedFailures))}");
    }

    private static async Task WorkAsync(ConcurrentQueue<int> seeds, ChaosTally tally, ConcurrentQueue<string> failures)
    {
        ChaosPair? pair = null;
        try
        {
            while (failures.Count < ReportedFailures && seeds.TryDequeue(out int seed))
            {
                ChaosPlan plan = ChaosPlan.Of(seed);
                pair ??= new ChaosPair();
                try
                {
                    await new ChaosRun(plan, pair, tally).RunAsync();
                }
                catch (Exception error)
                {
                    failures.Enqueue(
                        $"MIGRATIOND_CHAOS_SEED={seed} repeats it: {plan}\n{error.GetType().Name}: {error.Message}\n{error.StackTrace}\n"
                        + $"--- source\n{pair.SourceLog}\n--- destination\n{pair.DestinationLog}");
                    // Whatever state its daemons are in, the next run shall not inherit it.
                    ChaosPair broken = pair;
                    pair = null;
                    await broken.DisposeAsync();
                }
            }
        }
        finally
        {
            if (pair is not null)
            {
                await pair.DisposeAsync();
            }
        }
    }

    private static int? Read(string variable) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : null;
}
