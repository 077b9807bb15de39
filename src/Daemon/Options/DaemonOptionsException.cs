namespace MigrationD.Daemon.Options;

/// <summary>The daemon's configuration is wrong. The message lists everything that is, one thing a line.</summary>
internal sealed class DaemonOptionsException(IReadOnlyList<DaemonOptionError> errors) : Exception(string.Join('\n', errors))
{
    /// <summary>Everything that is wrong; at least one thing.</summary>
    public IReadOnlyList<DaemonOptionError> Errors { get; } = errors;
}

/// <summary>One thing wrong with the configuration.</summary>
/// <param name="Key">The option as it was written there: <c>--listen</c>, <c>MIGRATIOND_LISTEN</c> or <c>listen</c>.</param>
/// <param name="Value">What it was set to; null when the problem is not about a value.</param>
/// <param name="Origin">Where it was set.</param>
/// <param name="OriginDetail">The path of the file when <paramref name="Origin"/> is the file; null otherwise.</param>
/// <param name="Problem">What is wrong and what is expected instead.</param>
internal sealed record DaemonOptionError(string Key, string? Value, DaemonOptionOrigin Origin, string? OriginDetail, string Problem)
{
    public override string ToString()
    {
        var value = Value is null ? "" : $" \"{Value}\"";
        var origin = Origin.ToString().ToLowerInvariant() + (OriginDetail is null ? "" : " " + OriginDetail);
        return $"{Key}{value} ({origin}): {Problem}";
    }
}
