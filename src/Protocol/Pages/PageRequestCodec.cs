using MigrationD.Protocol.Lanes;

namespace MigrationD.Protocol.Pages;

/// <summary>Encodes and reads PageRequest (transport.proto); by hand, so that an urgent page allocates nothing.</summary>
public static class PageRequestCodec
{
    /// <summary>The most bytes that <see cref="Encode"/> writes: two numbers with their tags.</summary>
    public const int MaxBytes = (1 + 5) + (1 + 10);

    private const int RamBlockField = 1;
    private const int PageField = 2;

    /// <summary>Writes the whole message into at least <see cref="MaxBytes"/>. Returns the bytes written.</summary>
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
        while (reader.TryReadTag())
        {
            switch (reader.Field)
            {
                case RamBlockField:
                    ramBlock = reader.ReadUInt32();
                    break;
                case PageField:
                    page = reader.ReadVarint();
                    break;
                default:
                    reader.Skip();
                    break;
            }
        }

        return new PageAddress(ramBlock, page);
    }
}

/// <summary>One page that somebody waits for: a PageRequest message (transport.proto).</summary>
/// <param name="RamBlock">Index of the RAM block.</param>
/// <param name="Page">Index of the page in the block; pages are 4096 bytes.</param>
public readonly record struct PageAddress(uint RamBlock, ulong Page);
