using MigrationD.EndToEnd.Tests;
using MigrationD.EndToEnd.Tests.Chaos;
using MigrationD.EndToEnd.Tests.Limits;
using MigrationD.EndToEnd.Tests.Precopy;
using MigrationD.EndToEnd.Tests.Versions;
using Xunit.Sdk;
using Xunit.v3;

// Tests mostly wait: for links that are slow on purpose, for timeouts, for programs to start. More classes than there are processors run at
// a time, and no test may mind; what it waits for is a condition, within a deadline that is far above what it takes.
[assembly: Parallelization(MaxThreads = 3)]
[assembly: TestCollectionOrderer(typeof(LongestFirst))]

namespace MigrationD.EndToEnd.Tests;

/// <summary>
/// Runs the classes that take longest before the others, in this order: one that came last would run alone at the end, for minutes.
/// </summary>
public sealed class LongestFirst : ITestCollectionOrderer
{
    private static readonly string[] Longest =
    [
        nameof(ChaosTests), nameof(PreviousVersionTests), nameof(MigrationTests), nameof(RecoveryTests), nameof(PrecopyTests),
        nameof(RecoveryCommandTests), nameof(DrainTests), nameof(CompressionTests),
    ];

    /// <inheritdoc/>
    public IReadOnlyCollection<TTestCollection> OrderTestCollections<TTestCollection>(IReadOnlyCollection<TTestCollection> testCollections)
        where TTestCollection : ITestCollection =>
        [.. testCollections.OrderBy(Rank).ThenBy(collection => collection.TestCollectionDisplayName, StringComparer.Ordinal)];

    // A class without a collection of its choice is one, and is named in it.
    private static int Rank<TTestCollection>(TTestCollection collection)
        where TTestCollection : ITestCollection
    {
        int place = Array.FindIndex(Longest, name => collection.TestCollectionDisplayName.EndsWith($".{name}", StringComparison.Ordinal));
        return place < 0 ? Longest.Length : place;
    }
}
