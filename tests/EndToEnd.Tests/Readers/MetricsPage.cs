using System.Globalization;
using System.Text.RegularExpressions;

namespace MigrationD.EndToEnd.Tests.Readers;

/// <summary>
/// What dashboards and alerts rely on of a page of metrics: names, types, help texts, labels and the bounds of buckets. Values are left
/// out, and so are those labels' values that say which daemon it is and what it was asked for.
/// </summary>
internal static partial class MetricsPage
{
    private static readonly string[] OfTheDaemon = ["node", "version", "route", "code"];

    /// <summary>The lines that a page after a migration must have, as they are kept beside this file.</summary>
    public static IReadOnlyList<string> Promised { get; } =
        File.ReadAllLines(Path.Combine(AppContext.BaseDirectory, "Readers", "metrics.txt"));

    /// <summary>The families that are promised, with their types.</summary>
    public static IReadOnlyDictionary<string, string> Families { get; } = Promised.Select(line => TypeLine().Match(line))
        .Where(line => line.Success).ToDictionary(line => line.Groups["name"].Value, line => line.Groups["type"].Value);

    /// <summary>A page in the same form: in order, each line once.</summary>
    public static IReadOnlyList<string> LinesOf(string page) =>
    [
        .. page.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(line => line != "# EOF").Select(LineOf)
            .Distinct().Order(StringComparer.Ordinal),
    ];

    /// <summary>The names of the labels of a family, without that of buckets.</summary>
    public static IReadOnlyList<string> LabelsOf(string family) =>
    [
        .. Promised.Select(line => Sample().Match(line))
            .Where(line => line.Groups["name"].Value is var name && (name == family || HistogramSuffix().Replace(name, "") == family))
            .SelectMany(line => Label().Matches(line.Groups["labels"].Value)).Select(label => label.Groups["name"].Value)
            .Where(name => name != "le").Distinct().Order(StringComparer.Ordinal),
    ];

    private static string LineOf(string line)
    {
        if (line.StartsWith('#'))
        {
            return line;
        }

        Match sample = Sample().Match(line);
        Assert.True(sample.Success, $"no sample: {line}");
        // The order of labels means nothing.
        IEnumerable<string> labels = Label().Matches(sample.Groups["labels"].Value)
            .Select(label => $"{label.Groups["name"].Value}=\"{ValueOf(label.Groups["name"].Value, label.Groups["value"].Value)}\"")
            .Order(StringComparer.Ordinal);
        return $"{sample.Groups["name"].Value}{{{string.Join(',', labels)}}}";
    }

    /// <summary>A bound is a number, whichever way it is written.</summary>
    private static string ValueOf(string label, string value) => OfTheDaemon.Contains(label) ? "*"
        : label == "le" && value != "+Inf" ? double.Parse(value, CultureInfo.InvariantCulture).ToString("R", CultureInfo.InvariantCulture)
        : value;

    [GeneratedRegex("^# TYPE (?<name>\\S+) (?<type>\\S+)$")]
    private static partial Regex TypeLine();

    [GeneratedRegex("^(?<name>[a-z_]+)(\\{(?<labels>.*)\\})?( [0-9.eE+-]+)?$")]
    private static partial Regex Sample();

    [GeneratedRegex("(?<name>[a-z_]+)=\"(?<value>[^\"]*)\"")]
    private static partial Regex Label();

    [GeneratedRegex("_(bucket|sum|count)$")]
    private static partial Regex HistogramSuffix();
}
