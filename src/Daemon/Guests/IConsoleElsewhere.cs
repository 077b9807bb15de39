using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Guests;

/// <summary>The console of a guest that went to another node, as this node reaches it.</summary>
internal interface IConsoleElsewhere
{
    /// <summary>HOST:PORT of the daemon that has the guest now.</summary>
    string Address { get; }

    /// <summary>The guest's console from an offset on, over a connection of its own.</summary>
    IAsyncEnumerable<ConsoleChunk> ReadConsoleAsync(long offset, bool follow, CancellationToken cancel);
}
