namespace MigrationD.Daemon.Destination;

/// <summary>As many guests as may be are on their way to this node: one more can come when one of them has arrived.</summary>
internal sealed class NodeBusyException(string message) : Exception(message);
