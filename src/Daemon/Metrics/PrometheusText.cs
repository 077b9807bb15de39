using System.Globalization;
using System.Text;

namespace MigrationD.Daemon.Metrics;

/// <summary>
/// Writes the text format of Prometheus, version 0.0.4: names, escapes and numbers as its specification wants them
/// (prometheus.io/docs/instrumenting/exposition_formats).
/// </summary>
internal sealed class PrometheusText
{
    /// <summary>The media type of what this writes.</summary>
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    private readonly StringBuilder _text = new();

    /// <summary>Begins a family; all of its samples follow.</summary>
    /// <param name="name">Its name, as <see cref="Name"/> makes it.</param>
    /// <param name="type"><c>counter</c>, <c>gauge</c> or <c>histogram</c>.</param>
    /// <param name="help">One sentence for people.</param>
    public void Family(string name, string type, string help)
    {
        _text.Append("# HELP ").Append(name).Append(' ');
        Escape(_text, help, quotes: false);
        _text.Append("\n# TYPE ").Append(name).Append(' ').Append(type).Append('\n');
    }

    /// <summary>Writes one sample.</summary>
    /// <param name="name">The family's name, with a suffix where the type has some.</param>
    /// <param name="labels">What <see cref="Labels"/> made, or nothing.</param>
    /// <param name="value">The value.</param>
    public void Sample(string name, string labels, double value)
    {
        _text.Append(name);
        if (labels.Length > 0)
        {
            _text.Append('{').Append(labels).Append('}');
        }

        _text.Append(' ').Append(Number(value)).Append('\n');
    }

    public override string ToString() => _text.ToString();

    /// <summary>
    /// What an instrument is called here: its name with underscores, then its unit in full where it has one, then <c>total</c> for a
    /// counter.
    /// </summary>
    public static string Name(string instrument, string? unit, bool isCounter)
    {
        string suffix = unit switch
        {
            "s" => "_seconds",
            "By" => "_bytes",
            _ => "",
        };
        return Clean(instrument, colons: true) + suffix + (isCounter ? "_total" : "");
    }

    /// <summary>Labels as they stand between braces; the same for the same tags in the same order.</summary>
    public static string Labels(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        if (tags.IsEmpty)
        {
            return "";
        }

        var labels = new StringBuilder();
        foreach (KeyValuePair<string, object?> tag in tags)
        {
            if (labels.Length > 0)
            {
                labels.Append(',');
            }

            labels.Append(Clean(tag.Key, colons: false)).Append("=\"");
            Escape(labels, Convert.ToString(tag.Value, CultureInfo.InvariantCulture) ?? "", quotes: true);
            labels.Append('"');
        }

        return labels.ToString();
    }

    /// <summary>A number as it is read back without loss.</summary>
    public static string Number(double value) => value switch
    {
        double.PositiveInfinity => "+Inf",
        double.NegativeInfinity => "-Inf",
        double.NaN => "NaN",
        _ => value.ToString("R", CultureInfo.InvariantCulture).Replace('E', 'e'),
    };

    private static void Escape(StringBuilder to, string text, bool quotes)
    {
        foreach (char c in text)
        {
            _ = c switch
            {
                '\\' => to.Append("\\\\"),
                '\n' => to.Append("\\n"),
                '"' when quotes => to.Append("\\\""),
                _ => to.Append(c),
            };
        }
    }

    private static string Clean(string name, bool colons)
    {
        var clean = new StringBuilder(name.Length + 1);
        if (name.Length == 0 || char.IsAsciiDigit(name[0]))
        {
            clean.Append('_');
        }

        foreach (char c in name)
        {
            clean.Append(char.IsAsciiLetterOrDigit(c) || (colons && c == ':') ? c : '_');
        }

        return clean.ToString();
    }
}
