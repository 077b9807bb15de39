using MigrationD.Daemon.Files;
using MigrationD.Daemon.Tests.Hosting;

namespace MigrationD.Daemon.Tests.Files;

public sealed class DurableFileTests : IDisposable
{
    private const UnixFileMode Secret = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly TemporaryFolder _folder = new();

    private string Path => _folder.PathOf("file");

    private string Unfinished => _folder.PathOf("file" + DurableFile.UnfinishedSuffix);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_file_takes_the_place_of_another()
    {
        DurableFile.Write(Path, "longer than the next"u8);
        DurableFile.Write(Path, "next"u8);
        DurableFile.FlushFolder(_folder.PathOf("."));
        Assert.Equal("next", File.ReadAllText(Path));
        Assert.Equal([Path], Directory.GetFileSystemEntries(_folder.PathOf(".")).Select(System.IO.Path.GetFullPath));
    }

    [Fact]
    public void A_file_that_may_not_be_replaced_is_not()
    {
        DurableFile.Write(Path, "first"u8, replace: false);
        Assert.ThrowsAny<IOException>(() => DurableFile.Write(Path, "second"u8, replace: false));
        Assert.Equal("first", File.ReadAllText(Path));
        Assert.False(File.Exists(Unfinished));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Nobody_else_reads_a_secret_whatever_a_killed_process_left(bool replace)
    {
        _folder.Write("file" + DurableFile.UnfinishedSuffix, "half of a sec");
        File.SetUnixFileMode(Unfinished, Secret | UnixFileMode.OtherRead);
        DurableFile.Write(Path, "secret"u8, Secret, replace);
        Assert.Equal(("secret", Secret), (File.ReadAllText(Path), File.GetUnixFileMode(Path)));
        Assert.False(File.Exists(Unfinished));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Nothing_is_left_of_a_file_that_cannot_have_its_name(bool replace)
    {
        Directory.CreateDirectory(Path);
        Exception error = Assert.ThrowsAny<Exception>(() => DurableFile.Write(Path, "secret"u8, Secret, replace));
        Assert.True(error is IOException or UnauthorizedAccessException, error.ToString());
        Assert.Equal([Path], Directory.GetFileSystemEntries(_folder.PathOf(".")).Select(System.IO.Path.GetFullPath));
    }

    [Fact]
    public void A_folder_that_is_not_there_is_named()
    {
        string folder = _folder.PathOf("missing");
        Assert.ThrowsAny<IOException>(() => DurableFile.Write(System.IO.Path.Combine(folder, "file"), "x"u8));
        IOException error = Assert.Throws<IOException>(() => DurableFile.FlushFolder(folder));
        Assert.Contains(folder, error.Message, StringComparison.Ordinal);
    }
}
