namespace MigrationD.Daemon.Cli.Json;

/// <summary>A part of a guest's console: bytes, or where it is read from now on, or why it pauses or ends.</summary>
internal sealed record GuestConsoleJson(ulong Offset, string? Base64, GuestConsoleJson.Move? Moved, string? Notice)
{
    /// <summary>The daemon that the guest went to, and the migration.</summary>
    public sealed record Move(string To, string MigrationId);
}
