using System.Diagnostics.CodeAnalysis;

namespace MigrationD.Protocol.Pages;

/// <summary>How a lane says whose it is.</summary>
public static class LaneMetadata
{
    /// <summary>The metadata of a lane of this session.</summary>
    public static Dictionary<string, string> For(string session, ReadOnlySpan<byte> secret) => new()
    {
        [PageLanePaths.SessionMetadata] = session,
        [PageLanePaths.SecretMetadata] = Convert.ToBase64String(secret),
    };

    /// <summary>Whose lane this is; false when the metadata does not say so, or not in base64.</summary>
    public static bool TryRead(
        IReadOnlyDictionary<string, string> metadata, [NotNullWhen(true)] out string? session, [NotNullWhen(true)] out byte[]? secret)
    {
        session = null;
        secret = null;
        if (!metadata.TryGetValue(PageLanePaths.SessionMetadata, out string? id)
            || !metadata.TryGetValue(PageLanePaths.SecretMetadata, out string? encoded))
        {
            return false;
        }

        // Senders may leave the padding out (gRPC over HTTP/2, "Binary-Header").
        string bare = encoded.TrimEnd('=');
        string padded = bare.PadRight((bare.Length + 3) / 4 * 4, '=');
        byte[] bytes = new byte[padded.Length];
        if (!Convert.TryFromBase64String(padded, bytes, out int length))
        {
            return false;
        }

        session = id;
        secret = bytes[..length];
        return true;
    }
}
