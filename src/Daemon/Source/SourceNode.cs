using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Security;
using MigrationD.Daemon.Source.Link;
using MigrationD.Daemon.Source.Queue;

namespace MigrationD.Daemon.Source;

/// <summary>
/// What every migration away from this node has in common. <paramref name="Connect"/> gives the way to the daemon at an address, and dials
/// nothing yet.
/// </summary>
internal sealed record SourceNode(
    string Name, MigrationLog Migrations, MigrationTimeouts Timeouts, PeerSecurity Security, MigrationQueue Queue,
    Func<string, IDestination> Connect, ILogger Logger)
{
    /// <summary>The clock that destinations are waited for by.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
