using System.Text;
using MigrationD.Daemon.Options;

namespace MigrationD.Daemon.Cli.Demo;

/// <summary>A folder for the demo's sockets, removed with everything in it on disposal.</summary>
internal sealed class DemoScratch : IDisposable
{
    // Longer than any name that PathOf is asked for.
    private const int LongestName = 32;

    private readonly DirectoryInfo _folder;

    private DemoScratch(DirectoryInfo folder) => _folder = folder;

    /// <summary>Makes the folder, readable by this user only (mkdtemp(3)).</summary>
    /// <exception cref="DemoException">A unix socket in it would have too long a path.</exception>
    public static DemoScratch Create()
    {
        var folder = Directory.CreateTempSubdirectory("migrationd-demo-");
        if (Encoding.UTF8.GetByteCount(folder.FullName) + 1 + LongestName <= DaemonOptions.MaxSocketPathBytes)
        {
            return new DemoScratch(folder);
        }

        folder.Delete();
        throw new DemoException($"the temporary directory {Path.GetTempPath()} is too deep for the path of a unix socket "
            + $"({DaemonOptions.MaxSocketPathBytes} bytes); set TMPDIR=/tmp");
    }

    /// <summary>The absolute path of a file in the folder.</summary>
    public string PathOf(string name) => Path.Combine(_folder.FullName, name);

    public void Dispose()
    {
        try
        {
            _folder.Delete(recursive: true);
        }
        catch (IOException)
        {
            // A folder in the temporary directory that stays behind is no reason to fail the demo.
        }
    }
}
