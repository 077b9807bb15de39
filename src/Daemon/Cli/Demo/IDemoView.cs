using MigrationD.Daemon.Cli.Views;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli.Demo;

/// <summary>Where the demo says what it does.</summary>
internal interface IDemoView
{
    /// <summary>Says what comes next.</summary>
    void Say(string line);

    /// <summary>Follows a migration.</summary>
    /// <returns>The migration in its last state.</returns>
    Task<Migration> FollowAsync(IAsyncEnumerable<Migration> updates);
}

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
