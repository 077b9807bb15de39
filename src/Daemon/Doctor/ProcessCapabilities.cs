using System.Globalization;

namespace MigrationD.Daemon.Doctor;

/// <summary>The capabilities in the text of /proc/self/status (capabilities(7)).</summary>
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
