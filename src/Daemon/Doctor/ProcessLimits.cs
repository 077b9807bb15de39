using System.Globalization;

namespace MigrationD.Daemon.Doctor;

/// <summary>The text of /proc/self/limits (proc_pid_limits(5)).</summary>
internal static class ProcessLimits
{
    /// <summary>The soft limit of a row, <see cref="ulong.MaxValue"/> when unlimited, null when the row is not there.</summary>
    /// <param name="limits">The file's text.</param>
    /// <param name="name">The row, e.g. <c>Max locked memory</c>.</param>
    public static ulong? Soft(string? limits, string name)
    {
        var row = limits?.Split('\n').FirstOrDefault(line => line.StartsWith(name + " ", StringComparison.Ordinal));
        var value = row?[name.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries).FirstOrDefault();
        return value == "unlimited" ? ulong.MaxValue
            : ulong.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;
    }
}
