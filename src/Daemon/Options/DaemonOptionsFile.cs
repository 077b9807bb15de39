using System.Text.Json;

namespace MigrationD.Daemon.Options;

/// <summary>The configuration file: one JSON object, comments and trailing commas allowed, unknown keys refused.</summary>
/// <param name="Path">Where it is; absolute.</param>
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

    /// <summary>The file's values as the texts that a flag would have; what is wrong with it goes to <paramref name="errors"/>.</summary>
    public IReadOnlyDictionary<string, string> Read(List<DaemonOptionError> errors)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllText(Path), Dialect);
            return Values(document.RootElement, errors);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException)
        {
            errors.Add(new(Key, Path, Origin, null, $"cannot be read: {error.Message}"));
        }
        catch (JsonException error)
        {
            errors.Add(new(Key, Path, Origin, null, $"is not valid JSON: {error.Message}"));
        }

        return new Dictionary<string, string>();
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
            if (!known.Contains(property.Name))
            {
                errors.Add(new(property.Name, property.Value.GetRawText(), DaemonOptionOrigin.File, Path,
                    $"is no option; the options are {string.Join(", ", known)}"));
                continue;
            }

            switch (property.Value.ValueKind)
            {
                case JsonValueKind.String:
                    values[property.Name] = property.Value.GetString()!;
                    break;
                case JsonValueKind.True or JsonValueKind.False:
                    values[property.Name] = property.Value.GetBoolean() ? "true" : "false";
                    break;
                default:
                    errors.Add(new(property.Name, property.Value.GetRawText(), DaemonOptionOrigin.File, Path,
                        "must be a string, or true or false"));
                    break;
            }
        }

        return values;
    }
}
