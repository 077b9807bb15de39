using Microsoft.Extensions.Logging.Abstractions;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Metrics;
using MigrationD.Daemon.Migrations;
using MigrationD.Guest.Memory;
using MigrationD.Guest.Userfault;

namespace MigrationD.Daemon.Destination;

/// <summary>What every migration to this node has in common.</summary>
internal sealed record DestinationNode(GuestRegistry Guests, MigrationLog Migrations, MigrationTimeouts Timeouts)
{
    public string Name { get; init; } = "";

    public ILogger Logger { get; init; } = NullLogger.Instance;

    /// <summary>The log of what is wrong with lanes, which anybody can fill who reaches the listener.</summary>
    public ILogger LaneLogger { get; init; } = NullLogger.Instance;

    /// <summary>What counts faults and refusals; null where nothing is counted.</summary>
    public DaemonMeter? Meter { get; init; }

    /// <summary>The clock that sources are waited for by.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>
    /// What lets the pages of untouched memory come one by one, placed so, and is told how long each that was waited for took:
    /// <see cref="IncomingMemory.Register"/>, which needs a userfaultfd.
    /// </summary>
    public Func<GuestMemory, Placement, Action<long>?, IIncomingMemory> Register { get; init; } = IncomingMemory.Register;
}
