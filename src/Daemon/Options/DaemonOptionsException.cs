namespace MigrationD.Daemon.Options;

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

/// <summary>One thing wrong with the configuration.</summary>
/// <param name="Key">The option as it was written there: <c>--listen</c>, <c>MIGRATIOND_LISTEN</c> or <c>listen</c>.</param>
/// <param name="Value">What it was set to; null when the problem is not about a value.</param>
/// <param name="Origin">Where it was set.</param>
/// <param name="OriginDetail">The path of the file when <paramref name="Origin"/> is the file; null otherwise.</param>
/// <param name="Problem">What is wrong and what is expected instead.</param>
public sealed record DaemonOptionError(string Key, string? Value, DaemonOptionOrigin Origin, string? OriginDetail, string Problem)
{
    /// <summary>One line: key, value, origin, problem.</summary>
    public override string ToString()
    {
        var value = Value is null ? "" : $" \"{Value}\"";
        var origin = Origin.ToString().ToLowerInvariant() + (OriginDetail is null ? "" : " " + OriginDetail);
        return $"{Key}{value} ({origin}): {Problem}";
    }
}
