namespace MigrationD.Daemon.Web;

/// <summary>Why there is no answer.</summary>
internal sealed record WebErrorJson(string Error);
