namespace MigrationD.Daemon.Doctor;

/// <summary>Settings of /sys that list their choices with the one in force in brackets.</summary>
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
