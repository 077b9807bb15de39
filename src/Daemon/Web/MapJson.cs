namespace MigrationD.Daemon.Web;

/// <summary>
/// The answer of <c>/api/migrations/ID/map</c>: how many pages of each block are there (or, on the source, have been sent), and a letter
/// for each block that says how they came; see <see cref="Migrations.RamMap"/>. Both are empty where nothing is known.
/// </summary>
internal sealed record MapJson(
    string Id, string Guest, string Role, string State, int BlockBytes, int PagesPerBlock, IReadOnlyList<int> Pages, string Paths);
