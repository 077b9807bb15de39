using System.Collections.Concurrent;
using System.Globalization;
using MigrationD.Mutants;
using MigrationD.TestSupport;

// Which share of the mutants of the daemon's engines the unit tests notice:
//   dotnet run --project tests/Mutants -c Release [-- [--every N] [FILE...]]
// The files are given from the tree's top; without any, the engines and what stands around them are taken. With --every, only each Nth
// mutant is tried.
string tree = WorkingTree.Above(AppContext.BaseDirectory)
    ?? throw new InvalidOperationException($"no {WorkingTree.Mark} above {AppContext.BaseDirectory}; run this from the working tree");
int every = args is ["--every", var number, ..] ? int.Parse(number, CultureInfo.InvariantCulture) : 1;
string[] named = args is ["--every", ..] ? args[2..] : args;
string[] files = named.Length > 0
    ? named
    : [.. Engines.Patterns.SelectMany(pattern => Directory.GetFiles(Path.Combine(tree, "src/Daemon"), pattern, SearchOption.AllDirectories))
        .Where(file => !file.Contains("/obj/", StringComparison.Ordinal))
        .Select(file => Path.GetRelativePath(tree, file))
        .Distinct()
        .Order(StringComparer.Ordinal)];

using var mutated = new MutatedTree(tree, files);
PlantedMutant[] tried = [.. mutated.Planted.Where(mutant => mutant.Number % every == 0)];
Console.WriteLine($"{mutated.Planted.Count} mutants in {files.Length} files, {tried.Length} of them tried; {mutated.Classes.Count} test classes");

var passing = new Dictionary<int, List<(string Class, TimeSpan Took)>>();
foreach (string testClass in mutated.Classes)
{
    (IReadOnlyList<int> passedBy, TimeSpan took, bool passed) = mutated.Trace(testClass);
    if (!passed)
    {
        Console.WriteLine($"{testClass} fails without any mutant, and is left out");
        continue;
    }

    foreach (int mutant in passedBy)
    {
        passing.TryAdd(mutant, []);
        passing[mutant].Add((testClass, took));
    }
}

var alive = new ConcurrentBag<PlantedMutant>();
Parallel.ForEach(tried, new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount }, mutant =>
{
    if (!passing.TryGetValue(mutant.Number, out List<(string Class, TimeSpan Took)>? classes)
        || !mutated.Notice(
            mutant.Number,
            classes.OrderBy(known => known.Took).Select(known => known.Class),
            TimeSpan.FromSeconds(30) + (classes.Aggregate(TimeSpan.Zero, (sum, known) => sum + known.Took) * 4)))
    {
        alive.Add(mutant);
        Console.WriteLine($"  alive: {mutant.Path}:{mutant.Line}: {mutant.What}{(classes is null ? " (no test passes by)" : "")}");
    }
});

foreach (IGrouping<string, PlantedMutant> file in tried.GroupBy(mutant => mutant.Path))
{
    Print(file.Key, file.Count(), alive.Count(mutant => mutant.Path == file.Key));
}

Print("Figure: mutants noticed", tried.Length, alive.Count);

static void Print(string what, int all, int alive) =>
    Console.WriteLine($"{what}: {all - alive} of {all}, {100.0 * (all - alive) / Math.Max(all, 1):F0} %");

/// <summary>The files that are tried when none are named.</summary>
internal static class Engines
{
    public static readonly string[] Patterns =
    [
        "HostedGuest*.cs", "GuestRegistry.cs", "LeaseMachine.cs", "ConsoleFeed.cs", "DestinationSession*.cs", "DestinationLanes.cs",
        "DestinationClient.cs", "PageReceiver.cs", "SourceMigration*.cs", "SourceLanes.cs", "PushSender.cs", "UrgentSender.cs",
        "ControlService.cs", "TransportService.cs", "NodeDrain.cs",
    ];
}
