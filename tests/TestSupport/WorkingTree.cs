namespace MigrationD.TestSupport;

/// <summary>The working tree of this project, for what reads or builds its sources.</summary>
public static class WorkingTree
{
    /// <summary>The file that lies at its top.</summary>
    public const string Mark = "MigrationD.sln";

    /// <summary>The top of the tree that a folder lies in; null when it lies in none.</summary>
    public static string? Above(string folder)
    {
        for (DirectoryInfo? top = new(folder); top is not null; top = top.Parent)
        {
            if (File.Exists(Path.Combine(top.FullName, Mark)))
            {
                return top.FullName;
            }
        }

        return null;
    }
}
