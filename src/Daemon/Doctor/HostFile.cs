namespace MigrationD.Daemon.Doctor;

/// <summary>Reads small files of /proc and /sys.</summary>
internal static class HostFile
{
    /// <summary>A file's text, or null when this host does not have it or does not show it.</summary>
    public static string? TryRead(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}

/// <summary>Reads settings of /sys, which list their choices with the one in force in brackets.</summary>
internal static class KernelChoice
{
    /// <summary>The choice in brackets, or null when there is none.</summary>
    public static string? Selected(string? text)
    {
        var open = text?.IndexOf('[', StringComparison.Ordinal) ?? -1;
        var close = open < 0 ? -1 : text!.IndexOf(']', open);
        return close < 0 ? null : text![(open + 1)..close];
    }
}

/// <summary>Reads the text of /proc/self/limits (proc_pid_limits(5)).</summary>
internal static class ProcessLimits
{
    /// <summary>
    /// Finds the soft limit of a row, e.g. <c>Max locked memory</c>: <see cref="ulong.MaxValue"/> when unlimited, null without such a row.
    /// </summary>
    public static ulong? Soft(string? limits, string name)
    {
        var row = limits?.Split('\n').FirstOrDefault(line => line.StartsWith(name + " ", StringComparison.Ordinal));
        var value = row?[name.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries).FirstOrDefault();
        return value == "unlimited" ? ulong.MaxValue
            : ulong.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;
    }
}

/// <summary>Reads the capabilities in the text of /proc/self/status (capabilities(7)).</summary>
internal static class ProcessCapabilities
{
    /// <summary>CAP_IPC_LOCK: lock memory without limit.</summary>
    public const int IpcLock = 14;

    /// <summary>CAP_SYS_NICE: raise the priority of threads.</summary>
    public const int SysNice = 23;

    private const string Row = "CapEff:";

    /// <summary>Whether the effective set holds a capability; false when the text does not say.</summary>
    public static bool Has(string? status, int capability)
    {
        var row = status?.Split('\n').FirstOrDefault(line => line.StartsWith(Row, StringComparison.Ordinal));
        return ulong.TryParse(row?[Row.Length..].Trim(), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var set)
            && (set >> capability & 1) == 1;
    }
}
