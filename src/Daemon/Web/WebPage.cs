using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Json;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Security;
using MigrationD.Guest.Memory;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Web;

/// <summary>The page for operators' browsers, and the figures that it asks for. Nothing here changes anything.</summary>
/// <param name="node">Gives this daemon; null until it knows its own addresses.</param>
/// <param name="guests">The daemon's guests.</param>
/// <param name="migrations">The daemon's migrations.</param>
internal sealed class WebPage(Func<Node?> node, GuestRegistry guests, MigrationLog migrations)
{
    private const int EndedShown = 50;

    // A migration that has not come to lanes, or that ended long ago, has no map.
    private static readonly RamMap NoMap = new([], "");

    public void Map(IEndpointRouteBuilder routes)
    {
        foreach (WebFile file in WebFile.All)
        {
            routes.MapRead(file.Path, file.AnswerAsync);
        }

        routes.MapRead("/api/state", http => node() is { } self
            ? AnswerAsync(http, StatusCodes.Status200OK, StateOf(self), WebJson.Default.StateJson)
            : RefuseAsync(http, StatusCodes.Status503ServiceUnavailable, "the daemon is starting"));
        routes.MapRead("/api/migrations/{id}/map", http =>
        {
            // A slash is the one character that stays escaped in a part of a path; a peer chooses what its migrations are called.
            string id = ((string)http.Request.RouteValues["id"]!).Replace("%2F", "/", StringComparison.OrdinalIgnoreCase);
            return migrations.TryFind(id, out MigrationRecord? record)
                ? AnswerAsync(http, StatusCodes.Status200OK, MapOf(record, record.Map() ?? NoMap), WebJson.Default.MapJson)
                : RefuseAsync(http, StatusCodes.Status404NotFound, "there is no such migration");
        });
    }

    private static MapJson MapOf(MigrationRecord record, RamMap map) => new(
        record.Id, record.Guest, Words.Of(record.Role), Words.Of(record.State), GuestPage.BlockSize, GuestPage.PerBlock, map.Pages,
        map.Paths);

    private StateJson StateOf(Node self)
    {
        IReadOnlyList<MigrationRecord> all = migrations.All();
        int ended = 0;
        var shown = new List<JsonObject>();
        foreach (MigrationRecord record in all.Reverse())
        {
            if (!record.IsFinal || ++ended <= EndedShown)
            {
                shown.Add(JsonShapes.Of(record.Snapshot()));
            }
        }

        return new StateJson(
            DateTimeOffset.UtcNow, JsonShapes.Of(self), [.. guests.All().Select(guest => JsonShapes.Of(guest.Snapshot()))], shown,
            all.Count);
    }

    private static Task RefuseAsync(HttpContext http, int status, string why) =>
        AnswerAsync(http, status, new WebErrorJson(why), WebJson.Default.WebErrorJson);

    private static Task AnswerAsync<T>(HttpContext http, int status, T answer, JsonTypeInfo<T> type)
    {
        http.Response.StatusCode = status;
        http.Response.ContentType = "application/json; charset=utf-8";
        http.Response.Headers.CacheControl = "no-store";
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(answer, type);
        return http.Response.Body.WriteAsync(json, http.RequestAborted).AsTask();
    }
}
