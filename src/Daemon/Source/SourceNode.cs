using Microsoft.Extensions.Logging;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Security;
using MigrationD.Daemon.Source.Link;
using MigrationD.Daemon.Source.Queue;

namespace MigrationD.Daemon.Source;

/// <summary>What every migration away from this node has in common.</summary>
/// <param name="Name">What this node is called in the records of destinations.</param>
/// <param name="Migrations">Where migrations are recorded.</param>
/// <param name="Timeouts">How long the destination is waited for.</param>
/// <param name="Security">Which destinations may have guests.</param>
/// <param name="Queue">How many may be under way at a time.</param>
/// <param name="Connect">The way to the daemon at an address; nothing is dialled yet.</param>
/// <param name="Logger">The daemon's log.</param>
internal sealed record SourceNode(
    string Name, MigrationLog Migrations, MigrationTimeouts Timeouts, PeerSecurity Security, MigrationQueue Queue,
    Func<string, IDestination> Connect, ILogger Logger)
{
    /// <summary>The clock that destinations are waited for by.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
