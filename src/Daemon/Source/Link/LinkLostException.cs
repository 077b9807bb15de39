namespace MigrationD.Daemon.Source.Link;

/// <summary>A page lane broke in precopy.</summary>
internal sealed class LinkLostException(Exception cause) : Exception($"a page lane is lost: {cause.Message}", cause);
