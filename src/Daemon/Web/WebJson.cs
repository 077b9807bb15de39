using System.Text.Json.Serialization;

namespace MigrationD.Daemon.Web;

/// <summary>
/// What browsers get: keys as in <see cref="Cli.Json.CliJson"/>, and every character that could mean something in a document escaped.
/// </summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(StateJson))]
[JsonSerializable(typeof(MapJson))]
[JsonSerializable(typeof(WebErrorJson))]
internal sealed partial class WebJson : JsonSerializerContext;
