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
