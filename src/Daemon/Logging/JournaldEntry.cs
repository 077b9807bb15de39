using System.Buffers.Binary;
using System.Text;
using Serilog.Core;
using Serilog.Events;
using Serilog.Formatting.Display;

namespace MigrationD.Daemon.Logging;

/// <summary>
/// Writes a log event in the journal's own form (systemd.io/JOURNAL_NATIVE_PROTOCOL): fields of text. MESSAGE and PRIORITY are what
/// journalctl shows, MIGRATIOND_GUEST and its like what it can be asked for.
/// </summary>
internal static class JournaldEntry
{
    /// <summary>The most bytes of a value. With all its fields an entry stays below what a datagram may hold by default, 208 KiB.</summary>
    public const int MaxValueBytes = 32 * 1024;

    // The journal's own bound on names.
    private const int MaxNameLength = 64;

    private const string Prefix = "MIGRATIOND_";

    private static readonly MessageTemplateTextFormatter Message = new("{Message:lj}", CultureInfo.InvariantCulture);

    /// <summary>Makes one datagram of the event.</summary>
    public static byte[] Of(LogEvent logEvent)
    {
        using var entry = new MemoryStream();
        Write(entry, "MESSAGE", Text(logEvent));
        Write(entry, "PRIORITY", Priority(logEvent.Level).ToString(CultureInfo.InvariantCulture));
        Write(entry, "SYSLOG_IDENTIFIER", "migrationd");
        if (logEvent.Exception is { } error)
        {
            Write(entry, Prefix + "EXCEPTION", error.ToString());
        }

        foreach ((string name, LogEventPropertyValue value) in logEvent.Properties)
        {
            WriteProperty(entry, name, value);
        }

        return entry.ToArray();
    }

    /// <summary>Writes the event in one line of text, with the exception's own words.</summary>
    public static string Text(LogEvent logEvent)
    {
        using var text = new StringWriter(CultureInfo.InvariantCulture);
        Message.Format(logEvent, text);
        if (logEvent.Exception is { } error)
        {
            text.Write($": {error.GetType().Name}: {error.Message}");
        }

        return text.ToString().TrimEnd();
    }

    /// <summary>Finds the priority of syslog(3) that means the same.</summary>
    public static int Priority(LogEventLevel level) => level switch
    {
        LogEventLevel.Fatal => 2,
        LogEventLevel.Error => 3,
        LogEventLevel.Warning => 4,
        LogEventLevel.Information => 6,
        _ => 7,
    };

    /// <summary>Makes MIGRATIOND_MEMORY_BYTES of MemoryBytes; the journal takes A-Z, 0-9 and '_' in names.</summary>
    public static string FieldName(string property)
    {
        var name = new StringBuilder(Prefix);
        for (int i = 0; i < property.Length && name.Length < MaxNameLength; i++)
        {
            char c = property[i];
            if (char.IsAsciiLetterUpper(c) && i > 0 && char.IsAsciiLetterLower(property[i - 1]) && name.Length < MaxNameLength - 1)
            {
                name.Append('_');
            }

            name.Append(char.IsAsciiLetterOrDigit(c) ? char.ToUpperInvariant(c) : '_');
        }

        return name.ToString();
    }

    private static void WriteProperty(MemoryStream entry, string name, LogEventPropertyValue value)
    {
        if (name == "EventId" && value is StructureValue parts)
        {
            // The logging library makes this of a number and a name.
            foreach (LogEventProperty part in parts.Properties)
            {
                Write(entry, Prefix + (part.Name == "Name" ? "EVENT" : "EVENT_ID"), TextOf(part.Value));
            }
        }
        else
        {
            Write(entry, name == Constants.SourceContextPropertyName ? Prefix + "LOGGER" : FieldName(name), TextOf(value));
        }
    }

    private static string TextOf(LogEventPropertyValue value) => value is ScalarValue scalar
        ? Convert.ToString(scalar.Value, CultureInfo.InvariantCulture) ?? ""
        : value.ToString(null, CultureInfo.InvariantCulture);

    private static void Write(MemoryStream entry, string name, string value)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(value);
        if (bytes.Length > MaxValueBytes)
        {
            byte[] note = Encoding.UTF8.GetBytes($"... ({bytes.Length} bytes, the rest is left out)");
            bytes = [.. bytes.AsSpan(0, Whole(bytes, MaxValueBytes - note.Length)), .. note];
        }

        entry.Write(Encoding.ASCII.GetBytes(name));
        if (bytes.AsSpan().Contains((byte)'\n'))
        {
            // A value of several lines is counted, or each further line would be a field.
            Span<byte> length = stackalloc byte[sizeof(ulong)];
            BinaryPrimitives.WriteUInt64LittleEndian(length, (ulong)bytes.Length);
            entry.WriteByte((byte)'\n');
            entry.Write(length);
        }
        else
        {
            entry.WriteByte((byte)'=');
        }

        entry.Write(bytes);
        entry.WriteByte((byte)'\n');
    }

    /// <summary>Counts bytes, at most so many, that do not end in a part of a character.</summary>
    private static int Whole(byte[] utf8, int most)
    {
        while (most > 0 && (utf8[most] & 0xC0) == 0x80)
        {
            most--;
        }

        return most;
    }
}
