namespace MigrationD.Daemon.Hosting;

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
