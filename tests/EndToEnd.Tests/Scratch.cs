namespace MigrationD.EndToEnd.Tests;

/// <summary>A short-named folder of the test's own: the path of a unix socket has 107 bytes.</summary>
internal sealed class Scratch : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("md-");

    public string PathOf(string name) => Path.Combine(_folder.FullName, name);

    public void Dispose() => _folder.Delete(recursive: true);
}
