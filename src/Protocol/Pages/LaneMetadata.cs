using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace MigrationD.Protocol.Pages;

/// <summary>How a lane says whose it is.</summary>
public static class LaneMetadata
{
    /// <summary>The metadata of a lane of this session.</summary>
    /// <param name="session">The session's name.</param>
    /// <param name="secret">Its secret.</param>
    /// <param name="lane">Which of its push lanes it is; nothing is said of the first, as by daemons that know of no other.</param>
    public static Dictionary<string, string> For(string session, ReadOnlySpan<byte> secret, int lane = 0)
    {
        var metadata = new Dictionary<string, string>
        {
            [PageLanePaths.SessionMetadata] = session,
            [PageLanePaths.SecretMetadata] = Convert.ToBase64String(secret),
        };
        if (lane > 0)
        {
            metadata[PageLanePaths.LaneMetadata] = lane.ToString(CultureInfo.InvariantCulture);
        }

        return metadata;
    }

    /// <summary>Which push lane it is, from 0; null when what the metadata says is no number.</summary>
    public static int? LaneOf(IReadOnlyDictionary<string, string> metadata) =>
        !metadata.TryGetValue(PageLanePaths.LaneMetadata, out string? said) ? 0
        : int.TryParse(said, NumberStyles.None, CultureInfo.InvariantCulture, out int lane) ? lane
        : null;

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
