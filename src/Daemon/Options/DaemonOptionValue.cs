namespace MigrationD.Daemon.Options;

/// <summary>One option as it is in force.</summary>
/// <param name="Key">Which.</param>
/// <param name="Value">As it was written, or the default.</param>
/// <param name="Origin">Where it was set.</param>
/// <param name="OriginDetail">The flag, the variable, or the file; null for a default.</param>
public sealed record DaemonOptionValue(DaemonOptionKey Key, string Value, DaemonOptionOrigin Origin, string? OriginDetail);

/// <summary>Where the value of an option came from; a lower one hides a higher one.</summary>
public enum DaemonOptionOrigin
{
    /// <summary>The command line.</summary>
    Flag = 0,

    /// <summary>An environment variable.</summary>
    Environment = 1,

    /// <summary>The configuration file.</summary>
    File = 2,

    /// <summary>Nobody said anything.</summary>
    Default = 3,
}
