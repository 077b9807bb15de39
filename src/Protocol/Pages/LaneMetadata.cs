using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace MigrationD.Protocol.Pages;

/// <summary>The metadata by which a lane says whose it is.</summary>
public static class LaneMetadata
{
    /// <summary>
    /// Makes the metadata of a session's lane. Of push lanes it says which one; nothing of the first, as daemons that know of no other do.
    /// </summary>
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

    /// <summary>Reads which push lane it is, from 0; null when what the metadata says is no number.</summary>
    public static int? LaneOf(IReadOnlyDictionary<string, string> metadata) =>
        !metadata.TryGetValue(PageLanePaths.LaneMetadata, out string? said) ? 0
        : int.TryParse(said, NumberStyles.None, CultureInfo.InvariantCulture, out int lane) ? lane
        : null;

    /// <summary>Reads whose lane this is; false when the metadata does not say so, or not in base64.</summary>
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

/// <summary>The methods of transport.proto's service PageLanes, and the metadata that says whose lanes they are.</summary>
public static class PageLanePaths
{
    /// <summary>Background pages: PageRun to the destination, PushReport back.</summary>
    public const string Push = "/migrationd.v1.PageLanes/Push";

    /// <summary>Pages that somebody waits for: PageRequest from the destination, PageRun to it.</summary>
    public const string Urgent = "/migrationd.v1.PageLanes/Urgent";

    /// <summary>What is said while the guest stands still: HandoverOrder to the destination, HandoverAnswer back.</summary>
    public const string Handover = "/migrationd.v1.PageLanes/Handover";

    /// <summary>Metadata: the session's id.</summary>
    public const string SessionMetadata = "migrationd-session";

    /// <summary>Metadata: the session's secret, base64.</summary>
    public const string SecretMetadata = "migrationd-secret-bin";

    /// <summary>Metadata of a push lane: which one of the session's it is, in decimal, from 0; 0 when it is absent.</summary>
    public const string LaneMetadata = "migrationd-lane";

    /// <summary>The most push lanes that a session has.</summary>
    public const int MaxPushLanes = 16;
}
