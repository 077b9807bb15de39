using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace MigrationD.EndToEnd.Tests.Readers;

/// <summary>The example dashboard asks for nothing that a daemon does not tell.</summary>
public sealed partial class DashboardTests
{
    private static readonly string Dashboard = Path.Combine(AppContext.BaseDirectory, "grafana", "migrationd.json");

    [Fact]
    public void Each_metric_that_it_names_is_on_the_page_of_metrics()
    {
        JsonNode dashboard = JsonNode.Parse(File.ReadAllText(Dashboard))!;
        IReadOnlyDictionary<string, string> types = MetricsPage.Families;

        string[] expressions =
        [
            .. dashboard["panels"]!.AsArray().SelectMany(panel => panel!["targets"]!.AsArray()).Select(one => (string)one!["expr"]!),
        ];
        Assert.NotEmpty(expressions);
        Assert.All(expressions, expression => Assert.NotEmpty(Name().Matches(expression)));
        var named = new SortedSet<string>(Name().Matches(dashboard.ToJsonString()).Select(match => match.Value), StringComparer.Ordinal);
        foreach (string name in named)
        {
            string family = HistogramSuffix().Replace(name, "");
            bool isKnown = types.TryGetValue(name, out string? type)
                ? type != "histogram"
                : types.GetValueOrDefault(family) == "histogram";
            Assert.True(isKnown, $"{name} is not on the page of metrics: {string.Join(", ", types.Keys)}");
        }
    }

    [Fact]
    public void It_is_whole_and_its_panels_do_not_overlap()
    {
        JsonNode dashboard = JsonNode.Parse(File.ReadAllText(Dashboard))!;
        JsonArray panels = dashboard["panels"]!.AsArray();
        Assert.Equal(panels.Count, panels.Select(panel => (int)panel!["id"]!).Distinct().Count());
        string[] variables = [.. dashboard["templating"]!["list"]!.AsArray().Select(one => (string)one!["name"]!)];
        foreach (Match used in Variable().Matches(dashboard.ToJsonString()))
        {
            string name = used.Groups[1].Value;
            // Two underscores begin what Grafana has itself.
            Assert.True(name.StartsWith("__", StringComparison.Ordinal) || variables.Contains(name), $"there is no variable {name}");
        }

        var taken = new HashSet<(int X, int Y)>();
        foreach (JsonNode at in panels.Select(panel => panel!["gridPos"]!))
        {
            for (int x = (int)at["x"]!; x < (int)at["x"]! + (int)at["w"]!; x++)
            {
                for (int y = (int)at["y"]!; y < (int)at["y"]! + (int)at["h"]!; y++)
                {
                    Assert.InRange(x, 0, 23);
                    Assert.True(taken.Add((x, y)), $"two panels at {x}, {y}");
                }
            }
        }
    }

    [GeneratedRegex("migrationd_[a-z_]+")]
    private static partial Regex Name();

    [GeneratedRegex("_(bucket|sum|count)$")]
    private static partial Regex HistogramSuffix();

    [GeneratedRegex("\\$\\{?([a-z_]+)\\}?")]
    private static partial Regex Variable();
}
