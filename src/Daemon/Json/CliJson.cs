using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace MigrationD.Daemon.Json;

/// <summary>Everything that --json prints, with camelCase keys and without keys whose value is null.</summary>
[JsonSerializable(typeof(GuestJson))]
[JsonSerializable(typeof(IReadOnlyList<GuestJson>))]
[JsonSerializable(typeof(GuestHashJson))]
[JsonSerializable(typeof(GuestDeletedJson))]
[JsonSerializable(typeof(GuestDumpJson))]
[JsonSerializable(typeof(GuestConsoleJson))]
[JsonSerializable(typeof(JsonObject))]
[JsonSerializable(typeof(IReadOnlyList<JsonObject>))]
[JsonSerializable(typeof(NodeJson))]
[JsonSerializable(typeof(DrainSummaryJson))]
[JsonSerializable(typeof(UndrainJson))]
[JsonSerializable(typeof(IReadOnlyList<ConfigValueJson>))]
[JsonSerializable(typeof(HealthJson))]
[JsonSerializable(typeof(ErrorJson))]
[JsonSerializable(typeof(DoctorJson))]
[JsonSerializable(typeof(DemoJson))]
[JsonSerializable(typeof(TopJson))]
internal sealed partial class CliJson : JsonSerializerContext
{
    /// <summary>Writes quotes and µ as they are: the output goes to terminals and files, never into HTML.</summary>
    public static CliJson Relaxed { get; } = new(new JsonSerializerOptions
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    });

    /// <summary>Writes a value as one line of JSON.</summary>
    public static void WriteLine<T>(TextWriter writer, T value)
    {
        var type = (JsonTypeInfo<T>)(Relaxed.GetTypeInfo(typeof(T)) ?? throw new NotSupportedException($"{typeof(T)} is not in CliJson"));
        writer.WriteLine(JsonSerializer.Serialize(value, type));
    }
}

/// <summary>An error with --json, on standard error: <c>{"error":{"code":"not-found","message":"...","exitCode":4}}</c>.</summary>
internal sealed record ErrorJson(ErrorJson.Detail Error)
{
    /// <summary>What went wrong: a word for scripts, a sentence for people, and the process's exit code.</summary>
    internal sealed record Detail(string Code, string Message, int ExitCode);
}

/// <summary>One option of the daemon's configuration.</summary>
/// <param name="Key">Its key in the file.</param>
/// <param name="Value">As it was written, or the default.</param>
/// <param name="Origin">flag, environment, file or default.</param>
/// <param name="From">The flag, the variable, or the path of the file; null for a default.</param>
internal sealed record ConfigValueJson(string Key, string Value, string Origin, string? From);
