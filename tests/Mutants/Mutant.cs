using System.Collections.Concurrent;
using System.Globalization;

/// <summary>Says in the program under test which of its mutants is awake, and notes which of them were passed by.</summary>
internal static class Mutant
{
    private static readonly int Awake = int.Parse(Environment.GetEnvironmentVariable("MUTANT") ?? "-1", CultureInfo.InvariantCulture);
    private static readonly string? Record = Environment.GetEnvironmentVariable("MUTANTS_PASSED");
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
}
