namespace MigrationD.EndToEnd.Tests.Chaos;

/// <summary>What came of all runs together. Counted from several threads.</summary>
internal sealed class ChaosTally
{
    private readonly Lock _lock = new();
    private readonly SortedDictionary<string, long> _counts = new(StringComparer.Ordinal);

    public void Count(string what, long by = 1)
    {
        lock (_lock)
        {
            _counts[what] = _counts.GetValueOrDefault(what) + by;
        }
    }

    public override string ToString()
    {
        lock (_lock)
        {
            return string.Join(", ", _counts.Select(pair => $"{pair.Key} {pair.Value}"));
        }
    }
}
