namespace MigrationD.Protocol.Lanes.Http2;

/// <summary>The static table of HPACK (RFC 7541, appendix A).</summary>
internal static class HpackStaticTable
{
    // The entries from 17 on, which have no values.
    private static readonly string[] Names =
    [
        "accept-language", "accept-ranges", "accept", "access-control-allow-origin", "age", "allow", "authorization", "cache-control",
        "content-disposition", "content-encoding", "content-language", "content-length", "content-location", "content-range",
        "content-type", "cookie", "date", "etag", "expect", "expires", "from", "host", "if-match", "if-modified-since", "if-none-match",
        "if-range", "if-unmodified-since", "last-modified", "link", "location", "max-forwards", "proxy-authenticate",
        "proxy-authorization", "range", "referer", "refresh", "retry-after", "server", "set-cookie", "strict-transport-security",
        "transfer-encoding", "user-agent", "vary", "via", "www-authenticate",
    ];

    private static readonly HeaderField[] Fields =
    [
        new(":authority", ""), new(":method", "GET"), new(":method", "POST"), new(":path", "/"), new(":path", "/index.html"),
        new(":scheme", "http"), new(":scheme", "https"), new(":status", "200"), new(":status", "204"), new(":status", "206"),
        new(":status", "304"), new(":status", "400"), new(":status", "404"), new(":status", "500"), new("accept-charset", ""),
        new("accept-encoding", "gzip, deflate"),
        .. Names.Select(static name => new HeaderField(name, "")),
    ];

    /// <summary>How many entries there are; they are numbered from 1.</summary>
    public static int Count => Fields.Length;

    /// <summary>Gives entry <paramref name="index"/>, from 1.</summary>
    public static HeaderField Get(int index) => Fields[index - 1];
}
