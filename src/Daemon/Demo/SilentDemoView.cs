using MigrationD.Daemon.Cli;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Demo;

/// <summary>Says nothing, for --json.</summary>
internal sealed class SilentDemoView : IDemoView
{
    /// <inheritdoc/>
    public void Say(string line)
    {
    }

    /// <inheritdoc/>
    public Task<Migration> FollowAsync(IAsyncEnumerable<Migration> updates) => MigrationProgress.WaitAsync(updates);
}
