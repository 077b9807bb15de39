namespace MigrationD.Daemon.Doctor;

/// <summary>Small files of /proc and /sys.</summary>
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
