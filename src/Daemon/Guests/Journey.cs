namespace MigrationD.Daemon.Guests;

/// <summary>The migration that holds a guest, or took it away.</summary>
/// <param name="Migration">Its id; empty when there is none.</param>
/// <param name="Peer">The node at its other end.</param>
internal readonly record struct Journey(string Migration, string Peer)
{
    /// <summary>No migration.</summary>
    public static Journey None { get; } = new("", "");
}
