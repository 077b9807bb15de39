namespace MigrationD.Daemon.Json;

/// <summary>One option of the daemon's configuration.</summary>
/// <param name="Key">Its key in the file.</param>
/// <param name="Value">As it was written, or the default.</param>
/// <param name="Origin">flag, environment, file or default.</param>
/// <param name="From">The flag, the variable, or the path of the file; null for a default.</param>
internal sealed record ConfigValueJson(string Key, string Value, string Origin, string? From);
