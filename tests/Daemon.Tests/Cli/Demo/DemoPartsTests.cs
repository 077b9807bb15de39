using MigrationD.Daemon.Cli.Demo;

namespace MigrationD.Daemon.Tests.Cli.Demo;

public sealed class DemoPartsTests
{
    [Fact]
    public void The_executable_starts_itself_again()
    {
        var start = ThisProgram.Start("/opt/migrationd/migrationd", "/opt/migrationd/migrationd.dll", ["serve", "--node", "a b"]);
        Assert.Equal("/opt/migrationd/migrationd", start.FileName);
        Assert.Equal(["serve", "--node", "a b"], start.ArgumentList);
    }

    [Fact]
    public void Run_by_dotnet_it_starts_its_assembly_again()
    {
        var start = ThisProgram.Start("/usr/bin/dotnet", "/opt/migrationd/migrationd.dll", ["serve"]);
        Assert.Equal("/usr/bin/dotnet", start.FileName);
        Assert.Equal(["/opt/migrationd/migrationd.dll", "serve"], start.ArgumentList);
    }

    [Fact]
    public void The_scratch_folder_is_private_and_goes_with_everything_in_it()
    {
        string folder;
        using (var scratch = DemoScratch.Create())
        {
            File.WriteAllText(scratch.PathOf("source.sock"), "");
            folder = Path.GetDirectoryName(scratch.PathOf("source.sock"))!;
            if (!OperatingSystem.IsWindows())
            {
                Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(folder));
            }
        }

        Assert.False(Directory.Exists(folder));
    }

    [Fact]
    public void The_log_keeps_its_last_lines()
    {
        var log = new DemoLog();
        for (var i = 1; i <= 100; i++)
        {
            log.Add($"line {i}");
        }

        log.Add(null);
        var lines = log.ToString().Split('\n');
        Assert.Equal(40, lines.Length);
        Assert.Equal("  line 100", lines[^1]);
    }
}
