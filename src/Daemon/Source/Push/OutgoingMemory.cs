using MigrationD.Guest.Memory;

namespace MigrationD.Daemon.Source.Push;

/// <summary>
/// What all lanes of one migration send from, and what they have in common. <paramref name="Released"/> is null when no memory is to be
/// given back to this host.
/// </summary>
internal sealed record OutgoingMemory(
    string Guest, GuestMemory Memory, SentPages Sent, PushPace Pace, PushCompression Compression, ReleasedMemory? Released);
