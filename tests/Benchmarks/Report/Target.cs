using System.Globalization;

namespace MigrationD.Benchmarks.Report;

/// <summary>Something to be reached, and what was measured in this run.</summary>
/// <param name="What">What is measured, with the ratio's two sides where it is one.</param>
/// <param name="Limit">What is wanted, as text: "at most 1.3".</param>
/// <param name="Measured">What came out, as text.</param>
/// <param name="Reached">Whether that is enough.</param>
internal sealed record Target(string What, string Limit, string Measured, bool Reached)
{
    public static Target AtMost(string what, double measured, double limit, string unit = "") =>
        new(what, $"at most {Text(limit, unit)}", Text(measured, unit), measured <= limit);

    public static Target AtLeast(string what, double measured, double limit, string unit = "") =>
        new(what, $"at least {Text(limit, unit)}", Text(measured, unit), measured >= limit);

    private static string Text(double value, string unit)
    {
        string number = value.ToString(Math.Abs(value) >= 100 ? "0" : "0.##", CultureInfo.InvariantCulture);
        return unit.Length == 0 ? number : $"{number} {unit}";
    }
}
