using System.Globalization;

namespace MigrationD.Benchmarks.Report;

/// <summary>Something to be reached, and what was measured in this run.</summary>
/// <param name="What">What is measured, with the ratio's two sides where it is one.</param>
/// <param name="Limit">What is wanted, as text: "at most 1.3".</param>
/// <param name="Measured">What came out, as text.</param>
/// <param name="Reached">Whether that is enough.</param>
internal sealed record Target(string What, string Limit, string Measured, bool Reached)
{
    /// <summary>Why it is not reached, as far as is known; empty for a target that always was.</summary>
    public string Shortfall { get; init; } = "";

    public static Target AtMost(string what, double measured, double limit, string unit = "") =>
        new(what, $"at most {Text(limit, unit)}", Text(measured, unit), measured <= limit);

    public static Target AtLeast(string what, double measured, double limit, string unit = "") =>
        new(what, $"at least {Text(limit, unit)}", Text(measured, unit), measured >= limit);

    /// <summary>One limit for several guests: reached when each of them is within it.</summary>
    public static Target AtMostEach(string what, IReadOnlyList<double> measured, double limit, string unit = "") =>
        Each(what, $"at most {Text(limit, unit)}", measured, measured.Count(value => value <= limit), unit);

    /// <inheritdoc cref="AtMostEach"/>
    public static Target AtLeastEach(string what, IReadOnlyList<double> measured, double limit, string unit = "") =>
        Each(what, $"at least {Text(limit, unit)}", measured, measured.Count(value => value >= limit), unit);

    private static Target Each(string what, string limit, IReadOnlyList<double> measured, int reached, string unit) => new(
        what,
        limit,
        measured.Count == 1
            ? Text(measured[0], unit)
            : $"{Text(measured.Min(), "")} to {Text(measured.Max(), unit)}, {reached} of {measured.Count} guests",
        reached == measured.Count);

    private static string Text(double value, string unit)
    {
        string number = value.ToString(Math.Abs(value) >= 100 ? "0" : "0.##", CultureInfo.InvariantCulture);
        return unit.Length == 0 ? number : $"{number} {unit}";
    }
}
