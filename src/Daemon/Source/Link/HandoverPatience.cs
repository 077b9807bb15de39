using MigrationD.Daemon.Migrations;

namespace MigrationD.Daemon.Source.Link;

/// <summary>How long the destination may take for what it is told at the switchover.</summary>
/// <param name="Forget">For a message of stale pages, some of which may have to be taken out of huge pages.</param>
/// <param name="LoadState">For loading the device state; after it the guest goes on here.</param>
/// <param name="Run">For saying that the guest runs.</param>
internal sealed record HandoverPatience(TimeSpan Forget, TimeSpan LoadState, TimeSpan Run)
{
    /// <summary>What these timeouts mean for it.</summary>
    public static HandoverPatience Of(MigrationTimeouts timeouts) =>
        new(TimeSpan.FromSeconds(30), timeouts.Switchover, TimeSpan.FromSeconds(5));
}
