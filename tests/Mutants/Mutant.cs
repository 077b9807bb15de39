using System.Collections.Concurrent;
using System.Globalization;
using System.Reflection;

/// <summary>
/// Says in the code under test which of its mutants is awake, and notes which of them were passed by: in the tests' own process, and not in
/// a program that they start.
/// </summary>
internal static class Mutant
{
    private static readonly bool IsInTests = Assembly.GetEntryAssembly()?.GetName().Name?.EndsWith(".Tests", StringComparison.Ordinal) == true;
    private static readonly int Awake = int.Parse(Setting("MUTANT") ?? "-1", CultureInfo.InvariantCulture);
    private static readonly string? Record = Setting("MUTANTS_PASSED");
    private static readonly ConcurrentDictionary<int, bool> Passed = new();

    static Mutant()
    {
        if (Record is not null)
        {
            AppDomain.CurrentDomain.ProcessExit += (_, _) => File.WriteAllLines(Record, Passed.Keys.Select(number => $"{number}"));
        }
    }

    public static bool Is(int number)
    {
        if (Record is not null)
        {
            Passed[number] = true;
        }

        return number == Awake;
    }

    private static string? Setting(string name) => IsInTests ? Environment.GetEnvironmentVariable(name) : null;
}
