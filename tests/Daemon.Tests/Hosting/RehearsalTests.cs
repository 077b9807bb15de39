using MigrationD.Daemon.Hosting;
using MigrationD.TestSupport;

namespace MigrationD.Daemon.Tests.Hosting;

public sealed class RehearsalTests : IDisposable
{
    private readonly TemporaryFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [MachineFact(Needs.Userfaultfd | Needs.Kvm)]
    public async Task Each_kind_is_rehearsed_and_leaves_nothing()
    {
        string folder = Directory.CreateDirectory(_scratch.PathOf("run")).FullName;
        Assert.Equal(2, await Rehearsal.RunAsync(folder));
        Assert.Empty(Directory.GetFileSystemEntries(folder));
    }

    [Fact]
    public async Task A_folder_that_cannot_have_a_socket_is_no_failure()
    {
        Assert.Equal(0, await Rehearsal.RunAsync(_scratch.PathOf("nowhere/" + new string('a', 120))));
    }
}
