using MigrationD.Daemon.Cli.Views;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli.Demo;

/// <summary>Where the demo says what it does.</summary>
internal interface IDemoView
{
    /// <summary>Says what comes next.</summary>
    void Say(string line);

    /// <summary>Follows a migration to its last state.</summary>
    Task<Migration> FollowAsync(IAsyncEnumerable<Migration> updates);
}

/// <summary>Says nothing, for --json.</summary>
internal sealed class SilentDemoView : IDemoView
{
    public void Say(string line)
    {
    }

    public Task<Migration> FollowAsync(IAsyncEnumerable<Migration> updates) => MigrationProgress.WaitAsync(updates);
}
