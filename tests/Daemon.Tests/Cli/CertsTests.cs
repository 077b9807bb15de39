using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Tests.Hosting;

namespace MigrationD.Daemon.Tests.Cli;

public sealed class CertsTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private string Certificate => _folder.PathOf("ca-cert.pem");

    private string Key => _folder.PathOf("ca-key.pem");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task An_authority_is_not_made_twice()
    {
        Assert.Equal(ExitCode.Ok, (await InitAsync()).ExitCode);
        string made = File.ReadAllText(Certificate) + File.ReadAllText(Key);
        CliRun again = await InitAsync();
        Assert.Equal(ExitCode.Failed, again.ExitCode);
        Assert.Contains(Key, again.Error, StringComparison.Ordinal);
        Assert.Equal(made, File.ReadAllText(Certificate) + File.ReadAllText(Key));
    }

    [Fact]
    public async Task An_authority_can_be_kept_and_is_made_where_there_is_none()
    {
        CliRun first = await InitAsync("--keep");
        Assert.Equal((ExitCode.Ok, ""), (first.ExitCode, first.Error));
        string made = File.ReadAllText(Certificate) + File.ReadAllText(Key);
        CliRun again = await InitAsync("--keep");
        Assert.Equal((ExitCode.Ok, first.Out), (again.ExitCode, again.Out));
        Assert.Equal(made, File.ReadAllText(Certificate) + File.ReadAllText(Key));
    }

    [Theory]
    [InlineData("ca-cert.pem")]
    [InlineData("ca-key.pem")]
    public async Task What_is_left_of_an_authority_is_not_taken_for_one(string lost)
    {
        await InitAsync();
        File.Delete(_folder.PathOf(lost));
        CliRun run = await InitAsync("--keep");
        Assert.Equal(ExitCode.Failed, run.ExitCode);
        Assert.Contains("ca-key.pem", run.Error, StringComparison.Ordinal);
        Assert.False(File.Exists(_folder.PathOf(lost)));
    }

    private Task<CliRun> InitAsync(params string[] more) => CliRun.OfAsync(["certs", "init", "--dir", _folder.PathOf("."), .. more]);
}
