namespace MigrationD.Daemon.Hosting;

/// <summary>The daemon's configuration is wrong. The message lists everything that is, one thing a line.</summary>
public sealed class DaemonOptionsException : Exception
{
    /// <summary>A configuration with these errors; at least one.</summary>
    public DaemonOptionsException(IReadOnlyList<DaemonOptionError> errors)
        : base(string.Join('\n', errors))
    {
        Errors = errors;
    }

    /// <summary>Everything that is wrong.</summary>
    public IReadOnlyList<DaemonOptionError> Errors { get; }
}
