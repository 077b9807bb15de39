using System.Text.Json;

namespace MigrationD.Daemon.Options;

/// <summary>The configuration file: one JSON object, comments and trailing commas allowed, unknown keys refused.</summary>
/// <param name="Path">The file's absolute path.</param>
/// <param name="Key">What named it, e.g. <c>--config</c>.</param>
/// <param name="Origin">Where it was named.</param>
internal sealed record DaemonOptionsFile(string Path, string Key, DaemonOptionOrigin Origin)
{
    private static readonly JsonDocumentOptions Dialect = new()
    {
        AllowTrailingCommas = true,
        CommentHandling = JsonCommentHandling.Skip,
        AllowDuplicateProperties = false,
    };

    /// <summary>Reads the file's values as the texts that a flag would have; what is wrong goes to <paramref name="errors"/>.</summary>
    public IReadOnlyDictionary<string, string> Read(List<DaemonOptionError> errors)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllText(Path), Dialect);
            return Values(document.RootElement, errors);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException or JsonException)
        {
            string what = error is JsonException ? "is not valid JSON" : "cannot be read";
            errors.Add(new(Key, Path, Origin, null, $"{what}: {error.Message}"));
            return new Dictionary<string, string>();
        }
    }

    private Dictionary<string, string> Values(JsonElement root, List<DaemonOptionError> errors)
    {
        var values = new Dictionary<string, string>();
        if (root.ValueKind != JsonValueKind.Object)
        {
            errors.Add(new("(root)", null, DaemonOptionOrigin.File, Path, $"must be one JSON object, not {root.ValueKind}"));
            return values;
        }

        var known = DaemonOptionKey.All.Where(key => key != DaemonOptionKey.Config).Select(key => key.Name).ToArray();
        foreach (var property in root.EnumerateObject())
        {
            string? problem =
                !known.Contains(property.Name) ? $"is no option; the options are {string.Join(", ", known)}"
                : property.Value.ValueKind is JsonValueKind.String or JsonValueKind.True or JsonValueKind.False ? null
                : "must be a string, or true or false";
            if (problem is not null)
            {
                errors.Add(new(property.Name, property.Value.GetRawText(), DaemonOptionOrigin.File, Path, problem));
                continue;
            }

            values[property.Name] = property.Value.ValueKind == JsonValueKind.String
                ? property.Value.GetString()!
                : property.Value.GetRawText();
        }

        return values;
    }
}
