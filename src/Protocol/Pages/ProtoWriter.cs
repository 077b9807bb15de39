namespace MigrationD.Protocol.Pages;

/// <summary>Writes fields of a protobuf message into a span; fields with their default value are left out, as proto3 does.</summary>
internal ref struct ProtoWriter(Span<byte> into)
{
    private readonly Span<byte> _into = into;

    /// <summary>Bytes written.</summary>
    public int Length { get; private set; }

    public void Varint(int field, ulong value)
    {
        if (value != 0)
        {
            Raw((ulong)field << 3);
            Raw(value);
        }
    }

    /// <summary>Tag and length of a field whose bytes follow.</summary>
    public void BytesHead(int field, int length)
    {
        Raw(((ulong)field << 3) | 2);
        Raw((ulong)length);
    }

    private void Raw(ulong value)
    {
        while (value >= 0x80)
        {
            _into[Length++] = (byte)(value | 0x80);
            value >>= 7;
        }

        _into[Length++] = (byte)value;
    }
}
