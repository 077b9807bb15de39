using System.Diagnostics.CodeAnalysis;

namespace MigrationD.Protocol.Pages;

/// <summary>How a lane says whose it is: the paths of service PageLanes and its metadata.</summary>
public static class LaneMetadata
{
    /// <summary>The path of PageLanes.Push.</summary>
    public const string PushPath = "/migrationd.v1.PageLanes/Push";

    /// <summary>The path of PageLanes.Urgent.</summary>
    public const string UrgentPath = "/migrationd.v1.PageLanes/Urgent";

    private const string SessionKey = "migrationd-session";

    // gRPC carries metadata whose key ends in -bin as base64.
    private const string SecretKey = "migrationd-secret-bin";

    /// <summary>The metadata of a lane of this session.</summary>
    public static Dictionary<string, string> For(string session, ReadOnlySpan<byte> secret) => new()
    {
        [SessionKey] = session,
        [SecretKey] = Convert.ToBase64String(secret),
    };

    /// <summary>Whose lane this is; false when the metadata does not say so, or not in base64.</summary>
    public static bool TryRead(
        IReadOnlyDictionary<string, string> metadata, [NotNullWhen(true)] out string? session, [NotNullWhen(true)] out byte[]? secret)
    {
        session = null;
        secret = null;
        if (!metadata.TryGetValue(SessionKey, out string? id) || !metadata.TryGetValue(SecretKey, out string? encoded))
        {
            return false;
        }

        // Senders may leave the padding out (gRPC over HTTP/2, "Binary-Header").
        byte[] bytes = new byte[encoded.Length];
        if (!Convert.TryFromBase64String(encoded.TrimEnd('=') + new string('=', (4 - encoded.TrimEnd('=').Length % 4) % 4), bytes, out int length))
        {
            return false;
        }

        session = id;
        secret = bytes[..length];
        return true;
    }
}
