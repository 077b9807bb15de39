using System.Globalization;
using Serilog.Events;
using Serilog.Formatting;
using Serilog.Formatting.Json;

namespace MigrationD.Daemon.Hosting;

/// <summary>
/// One JSON object a line with the keys that log tools know: @t time, @l level unless Information, @mt message template, @x exception,
/// and each property under its own name.
/// </summary>
internal sealed class CompactJsonFormatter : ITextFormatter
{
    private static readonly JsonValueFormatter Values = new(typeTagName: null);

    public void Format(LogEvent logEvent, TextWriter output)
    {
        output.Write("{\"@t\":\"");
        output.Write(logEvent.Timestamp.UtcDateTime.ToString("O", CultureInfo.InvariantCulture));
        output.Write('"');
        if (logEvent.Level != LogEventLevel.Information)
        {
            WriteString(output, "@l", logEvent.Level.ToString());
        }

        WriteString(output, "@mt", logEvent.MessageTemplate.Text);
        if (logEvent.Exception is { } error)
        {
            WriteString(output, "@x", error.ToString());
        }

        foreach ((string name, LogEventPropertyValue value) in logEvent.Properties)
        {
            output.Write(',');
            // A name of ours must not be taken for one of the format's.
            JsonValueFormatter.WriteQuotedJsonString(name.StartsWith('@') ? "@" + name : name, output);
            output.Write(':');
            Values.Format(value, output);
        }

        output.WriteLine('}');
    }

    private static void WriteString(TextWriter output, string key, string value)
    {
        output.Write($",\"{key}\":");
        JsonValueFormatter.WriteQuotedJsonString(value, output);
    }
}
