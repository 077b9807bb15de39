using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;

namespace MigrationD.Protocol.Pages;

/// <summary>The wire form of PageRequest (transport.proto); by hand, so that an urgent page allocates nothing.</summary>
public static class PageRequestCodec
{
    /// <summary>The most bytes that <see cref="Encode"/> writes: two numbers with their tags.</summary>
    public const int MaxBytes = (1 + 5) + (1 + 10);

    private const int RamBlockField = 1;
    private const int PageField = 2;

    /// <summary>Writes the whole message.</summary>
    /// <param name="request">The page that is wanted.</param>
    /// <param name="into">At least <see cref="MaxBytes"/>.</param>
    /// <returns>Bytes written.</returns>
    public static int Encode(in PageAddress request, Span<byte> into)
    {
        var writer = new ProtoWriter(into);
        writer.Varint(RamBlockField, request.RamBlock);
        writer.Varint(PageField, request.Page);
        return writer.Length;
    }

    /// <summary>Reads the whole current message.</summary>
    /// <exception cref="LaneException">The message is malformed (the call is over), or the connection failed.</exception>
    public static PageAddress Read(LaneCall call)
    {
        var reader = new LaneProtoReader(call, "PageRequest");
        uint ramBlock = 0;
        ulong page = 0;
        while (reader.TryReadTag(out int field, out int wireType))
        {
            switch (field)
            {
                case RamBlockField:
                    ramBlock = reader.ReadUInt32(field, wireType);
                    break;
                case PageField:
                    page = reader.ReadVarint(field, wireType);
                    break;
                default:
                    reader.Skip(field, wireType);
                    break;
            }
        }

        return new PageAddress(ramBlock, page);
    }
}
