namespace MigrationD.Protocol.Lanes.Http2;

/// <summary>One name and value of a header list.</summary>
internal readonly record struct HeaderField(string Name, string Value)
{
    /// <summary>Its size as RFC 7541, section 4.1 counts it.</summary>
    public int Size => Name.Length + Value.Length + 32;
}
