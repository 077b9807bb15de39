namespace MigrationD.Daemon.Hosting;

/// <summary>One option as it is in force.</summary>
/// <param name="Key">Which.</param>
/// <param name="Value">As it was written, or the default.</param>
/// <param name="Origin">Where it was set.</param>
/// <param name="OriginDetail">The flag, the variable, or the file; null for a default.</param>
public sealed record DaemonOptionValue(DaemonOptionKey Key, string Value, DaemonOptionOrigin Origin, string? OriginDetail);
