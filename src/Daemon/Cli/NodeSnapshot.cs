using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli;

/// <summary>A daemon with all that was on it when it was asked.</summary>
/// <param name="Node">The daemon.</param>
/// <param name="Guests">Its guests.</param>
/// <param name="Migrations">Its migrations, the newest last.</param>
/// <param name="At">When it was asked.</param>
internal sealed record NodeSnapshot(
    Node Node, IReadOnlyList<Protocol.V1.Guest> Guests, IReadOnlyList<Migration> Migrations, DateTimeOffset At);
