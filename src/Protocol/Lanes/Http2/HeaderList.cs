using System.Buffers;

namespace MigrationD.Protocol.Lanes.Http2;

/// <summary>The rules for header lists (RFC 9113, section 8.2 and 8.3), and metadata out of them.</summary>
internal static class HeaderList
{
    private static readonly SearchValues<char> NameCharacters = SearchValues.Create("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz");

    // Fields that speak about a connection of HTTP/1.1 and must not be here.
    private static readonly HashSet<string> Forbidden = ["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"];

    /// <summary>Splits pseudo-header fields from the others; values of a repeated name are joined by commas, as gRPC says.</summary>
    public static (Dictionary<string, string> Pseudo, Dictionary<string, string> Metadata) Split(List<HeaderField> fields)
    {
        var pseudo = new Dictionary<string, string>();
        var metadata = new Dictionary<string, string>();
        foreach (HeaderField field in fields)
        {
            if (field.Value.AsSpan().IndexOfAny('\0', '\r', '\n') >= 0)
            {
                throw Malformed($"the value of a field with a name of {field.Name.Length} characters contains a line end or NUL");
            }

            if (field.Name.StartsWith(':'))
            {
                if (field.Name is not (":method" or ":scheme" or ":path" or ":authority" or ":status"))
                {
                    throw Malformed($"an unknown pseudo-header field of {field.Name.Length} characters");
                }

                if (metadata.Count != 0 || !pseudo.TryAdd(field.Name, field.Value))
                {
                    throw Malformed($"{field.Name} twice or behind other fields");
                }

                continue;
            }

            if (!IsName(field.Name) || Forbidden.Contains(field.Name))
            {
                throw Malformed("a field whose name is not allowed");
            }

            metadata[field.Name] = metadata.TryGetValue(field.Name, out string? earlier) ? $"{earlier},{field.Value}" : field.Value;
        }

        return (pseudo, metadata);
    }

    /// <summary>Whether this is a field name in lower case.</summary>
    public static bool IsName(string name) => name.Length != 0 && !name.AsSpan().ContainsAnyExcept(NameCharacters);

    private static Http2Exception Malformed(string message) => new(Http2ErrorCode.ProtocolError, $"malformed headers: {message}");
}

/// <summary>One name and value of a header list.</summary>
internal readonly record struct HeaderField(string Name, string Value)
{
    /// <summary>The field's size as RFC 7541, section 4.1 counts it.</summary>
    public int Size => Name.Length + Value.Length + 32;
}
