using System.Globalization;
using System.Text;

namespace MigrationD.Benchmarks.Report;

/// <summary>
/// Draws guest speed over time as an SVG: a panel for each series, one time axis for all. Speed is shown as a share of what it was before
/// the migration, so that guests of different speeds compare. The colours follow the reader's light or dark theme.
/// </summary>
internal static class SpeedPlot
{
    private const int Width = 860;
    private const int Left = 64;
    private const int Right = 20;
    private const int Top = 44;
    private const int PanelHeight = 132;
    private const int PanelTitle = 24;
    private const int PanelGap = 18;
    private const int Bottom = 64;
    private const int PlotWidth = Width - Left - Right;
    private const double RoomForLabels = 1.2;

    // A guest that was slow before, for reasons of the machine's, must not press the rest of its panel flat.
    private const double MostShown = 2;
    private const double PercentGrid = 50;
    private static readonly double[] TimeSteps = [0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60];

    // GitHub shows an SVG as an image, where its own media queries still follow the reader's theme.
    // No CSS variables: not every program that shows SVG knows them.
    private const string Style = """
        text { font: 12px system-ui, "DejaVu Sans", sans-serif; fill: #59636e }
        .title { font-size: 15px; font-weight: 600; fill: #1f2328 }
        .panel { font-weight: 600; fill: #1f2328 }
        .paper { fill: #ffffff }
        .grid { stroke: #d9dee4 }
        .axis { stroke: #59636e }
        .speed { stroke: #0969da; stroke-width: 1.6; fill: none; stroke-linejoin: round }
        .area { fill: #0969da; fill-opacity: 0.13 }
        .moving { fill: #bf8700; fill-opacity: 0.1 }
        .end { stroke: #9a6700; stroke-width: 1.2; stroke-dasharray: 4 3 }
        .end-text { fill: #9a6700 }
        .stop, .stop-text { fill: #cf222e }
        @media (prefers-color-scheme: dark) {
          text { fill: #9198a1 }
          .title, .panel { fill: #e6edf3 }
          .paper { fill: #0d1117 }
          .grid { stroke: #30363d }
          .axis { stroke: #9198a1 }
          .speed { stroke: #58a6ff }
          .area { fill: #58a6ff }
          .moving { fill: #d29922 }
          .end { stroke: #d29922 }
          .end-text { fill: #d29922 }
          .stop, .stop-text { fill: #ff7b72 }
        }
        """;

    public static string Draw(Plot plot)
    {
        SpeedSeries[] series = [.. plot.Series.Where(one => one.Points.Count > 1)];
        if (series.Length == 0)
        {
            throw new BenchmarkException($"the figure {plot.Name} has nothing to show");
        }

        double from = series.Min(one => one.Points[0].Seconds);
        double until = series.Max(one => one.Points[^1].Seconds);
        int height = Top + (series.Length * (PanelTitle + PanelHeight + PanelGap)) + Bottom - PanelGap;
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {height}\" ");
        svg.Append(CultureInfo.InvariantCulture, $"width=\"{Width}\" height=\"{height}\" role=\"img\" ");
        svg.Append(CultureInfo.InvariantCulture, $"aria-label=\"{Escape(plot.Title)}\">\n");
        svg.Append(CultureInfo.InvariantCulture, $"<title>{Escape(plot.Title)}</title>\n<style>\n{Style}\n</style>\n");
        svg.Append(CultureInfo.InvariantCulture, $"<rect class=\"paper\" width=\"{Width}\" height=\"{height}\"/>\n");
        Text(svg, "title", Left, 24, plot.Title);
        for (int i = 0; i < series.Length; i++)
        {
            DrawPanel(svg, series[i], Top + (i * (PanelTitle + PanelHeight + PanelGap)) + PanelTitle, from, until);
        }

        DrawTimeAxis(svg, height - Bottom, from, until);
        return svg.Append("</svg>\n").ToString();
    }

    private static void DrawPanel(StringBuilder svg, SpeedSeries series, int top, double from, double until)
    {
        double before = series.Before();
        double Share(SpeedPoint point) => Math.Min(point.StepsPerSecond / before, MostShown);
        double highest = Math.Max(1, series.Points.Max(Share)) * RoomForLabels;
        double X(double seconds) => Left + ((seconds - from) / (until - from) * PlotWidth);
        double Y(double share) => top + PanelHeight - (share / highest * PanelHeight);
        double foot = top + PanelHeight;

        double completed = series.Completed ?? 0;
        if (completed > 0)
        {
            svg.Append(CultureInfo.InvariantCulture,
                $"<rect class=\"moving\" x=\"{X(0):0.#}\" y=\"{top}\" width=\"{X(completed) - X(0):0.#}\" height=\"{PanelHeight}\"/>\n");
        }

        for (double percent = 0; percent <= highest * 100; percent += PercentGrid)
        {
            Line(svg, percent == 0 ? "axis" : "grid", Left, Y(percent / 100), Width - Right, Y(percent / 100));
            Text(svg, "", Left - 8, Y(percent / 100) + 4, $"{percent} %", "end");
        }

        // A point stands for the interval that ends at it, so the line goes in steps.
        var line = new StringBuilder();
        double previous = series.Points[0].Seconds - (series.Points[1].Seconds - series.Points[0].Seconds);
        double first = Math.Max(X(previous), Left);
        foreach (SpeedPoint point in series.Points)
        {
            double y = Y(Share(point));
            double start = Math.Max(X(Math.Max(previous, from)), Left);
            char pen = line.Length == 0 ? 'M' : 'L';
            line.Append(CultureInfo.InvariantCulture, $"{pen}{start:0.#} {y:0.#}L{X(point.Seconds):0.#} {y:0.#}");
            previous = point.Seconds;
        }

        string area = string.Create(CultureInfo.InvariantCulture, $"{line}L{X(previous):0.#} {foot:0.#}L{first:0.#} {foot:0.#}Z");
        svg.Append(CultureInfo.InvariantCulture, $"<path class=\"area\" d=\"{area}\"/>\n<path class=\"speed\" d=\"{line}\"/>\n");

        Text(svg, "panel", Left, top - 8, series.Name);
        Text(svg, "", Width - Right, top - 8, $"100 % is {Amount(before)} steps/s", "end");
        if (series.Completed is { } end)
        {
            Line(svg, "end", X(end), top, X(end), foot);
            bool roomRight = X(end) < Width - Right - 170;

            // To the left it keeps out of the way of the downtime and of what stands beside that.
            double left = Math.Min(X(end), X(series.Downtime?.Start ?? end)) - 5;
            Text(
                svg, "end-text", roomRight ? X(end) + 5 : left, top + (roomRight ? 13 : 28), $"last page {Time(end)}",
                roomRight ? "start" : "end");
        }

        if (series.Downtime is { } stop)
        {
            // To scale, but never thinner than can be seen.
            double width = Math.Max(X(stop.Start + stop.Length) - X(stop.Start), 2);
            svg.Append(CultureInfo.InvariantCulture,
                $"<rect class=\"stop\" x=\"{X(stop.Start):0.#}\" y=\"{top}\" width=\"{width:0.#}\" height=\"{PanelHeight}\"/>\n");
            Text(svg, "stop-text", X(stop.Start) - 5, top + 13, $"downtime {Time(stop.Length)}", "end");
        }
    }

    private static void DrawTimeAxis(StringBuilder svg, int top, double from, double until)
    {
        double step = TimeSteps.FirstOrDefault(one => (until - from) / one <= 12, TimeSteps[^1]);
        for (int i = (int)Math.Ceiling(from / step); i * step <= until; i++)
        {
            double x = Left + (((i * step) - from) / (until - from) * PlotWidth);
            Line(svg, "axis", x, top, x, top + 5);
            Text(svg, "", x, top + 20, $"{Math.Round(i * step, 2).ToString(CultureInfo.InvariantCulture)}", "middle");
        }

        Text(svg, "", Left + (PlotWidth / 2), top + 42, "seconds from the start of the migration", "middle");
        svg.Append(CultureInfo.InvariantCulture, $"<text transform=\"translate(16 {(Top + top) / 2}) rotate(-90)\" ");
        svg.Append("text-anchor=\"middle\">guest speed, share of before</text>\n");
    }

    private static void Line(StringBuilder svg, string style, double x1, double y1, double x2, double y2) =>
        svg.Append(CultureInfo.InvariantCulture,
            $"<line class=\"{style}\" x1=\"{x1:0.#}\" y1=\"{y1:0.#}\" x2=\"{x2:0.#}\" y2=\"{y2:0.#}\"/>\n");

    private static void Text(StringBuilder svg, string style, double x, double y, string text, string anchor = "start") =>
        svg.Append(CultureInfo.InvariantCulture,
            $"<text{(style.Length > 0 ? $" class=\"{style}\"" : "")} x=\"{x:0.#}\" y=\"{y:0.#}\" text-anchor=\"{anchor}\">{Escape(text)}</text>\n");

    private static string Time(double seconds) => seconds < 1
        ? string.Create(CultureInfo.InvariantCulture, $"{seconds * 1000:0.#} ms")
        : string.Create(CultureInfo.InvariantCulture, $"{seconds:0.00} s");

    private static string Amount(double perSecond) => perSecond switch
    {
        >= 1e6 => string.Create(CultureInfo.InvariantCulture, $"{perSecond / 1e6:0.0} million"),
        >= 1e3 => string.Create(CultureInfo.InvariantCulture, $"{perSecond / 1e3:0} thousand"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{perSecond:0}"),
    };

    private static string Escape(string text) => text
        .Replace("&", "&amp;", StringComparison.Ordinal)
        .Replace("<", "&lt;", StringComparison.Ordinal)
        .Replace("\"", "&quot;", StringComparison.Ordinal);
}
