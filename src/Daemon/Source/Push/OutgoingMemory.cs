using MigrationD.Guest.Memory;

namespace MigrationD.Daemon.Source.Push;

/// <summary>What all lanes of one migration send from, and what they have in common.</summary>
/// <param name="Guest">The guest's name.</param>
/// <param name="Memory">Its memory.</param>
/// <param name="Sent">Which pages have been sent, by any of them.</param>
/// <param name="Pace">How fast they may go together.</param>
/// <param name="Compression">How they pack what they push.</param>
/// <param name="Released">What has been given back to this host; null when nothing is to be.</param>
internal sealed record OutgoingMemory(
    string Guest, GuestMemory Memory, SentPages Sent, PushPace Pace, PushCompression Compression, ReleasedMemory? Released);
