using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using MigrationD.Daemon.Json;

namespace MigrationD.Daemon.Web;

/// <summary>
/// What browsers get: keys as in <see cref="Json.CliJson"/>, and every character that could mean something in a document escaped.
/// </summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(StateJson))]
[JsonSerializable(typeof(MapJson))]
[JsonSerializable(typeof(WebErrorJson))]
internal sealed partial class WebJson : JsonSerializerContext;

/// <summary>
/// The answer of <c>/api/state</c>: the node, its guests and its migrations, each as the commands print it with --json. Migrations newest
/// first: all that are under way and the last that have ended; <paramref name="MigrationsKnown"/> counts the others too.
/// </summary>
internal sealed record StateJson(
    DateTimeOffset At, NodeJson Node, IReadOnlyList<GuestJson> Guests, IReadOnlyList<JsonObject> Migrations, int MigrationsKnown);

/// <summary>
/// The answer of <c>/api/migrations/ID/map</c>: how many pages of each block are there (or, on the source, have been sent), and a letter
/// for each block that says how they came; see <see cref="Migrations.RamMap"/>. Both are empty where nothing is known.
/// </summary>
internal sealed record MapJson(
    string Id, string Guest, string Role, string State, int BlockBytes, int PagesPerBlock, IReadOnlyList<int> Pages, string Paths);

/// <summary>Why there is no answer.</summary>
internal sealed record WebErrorJson(string Error);
