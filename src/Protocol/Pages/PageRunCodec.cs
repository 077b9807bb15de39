using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Interop;
using MigrationD.Protocol.V1;

namespace MigrationD.Protocol.Pages;

/// <summary>
/// Encodes and reads PageRun (transport.proto), by hand so that data goes from memory to memory: nothing is allocated, and what is written
/// is byte for byte what the generated type writes.
/// </summary>
public static class PageRunCodec
{
    /// <summary>The most bytes that <see cref="Encode"/> writes: seven numbers with their tags, and the tag and length of data.</summary>
    public const int MaxHeadBytes = (1 + 5) + (1 + 10) + (1 + 5) + (1 + 1) + (1 + 1) + (1 + 1) + (1 + 1) + (1 + 4);

    private const int RamBlockField = 1;
    private const int FirstPageField = 2;
    private const int PageCountField = 3;
    private const int ZeroField = 4;
    private const int HugeField = 5;
    private const int MarkField = 6;
    private const int CompressionField = 7;
    private const int DataField = 15;

    /// <summary>
    /// Writes everything up to the first byte of data into at least <see cref="MaxHeadBytes"/>, and returns the bytes written. The data
    /// follows as the second part of <see cref="LaneCall.Write(ReadOnlySpan{byte}, NativeBuffer)"/>.
    /// </summary>
    /// <exception cref="ArgumentException">The run breaks a rule of transport.proto.</exception>
    public static int Encode(in PageRunHeader header, Span<byte> head)
    {
        if (header.Fault is { } fault)
        {
            throw new ArgumentException(fault, nameof(header));
        }

        var writer = new ProtoWriter(head);
        writer.Varint(RamBlockField, header.RamBlock);
        writer.Varint(FirstPageField, header.FirstPage);
        writer.Varint(PageCountField, header.PageCount);
        writer.Varint(ZeroField, header.IsZero ? 1u : 0);
        writer.Varint(HugeField, header.IsHuge ? 1u : 0);
        writer.Varint(MarkField, (uint)header.Mark);
        if (header.Mark == PrecopyMark.None && !header.IsZero)
        {
            writer.Varint(CompressionField, (uint)header.Compression);
            writer.BytesHead(DataField, header.DataLength);
        }

        return writer.Length;
    }

    /// <summary>
    /// Reads the current message up to the first byte of data; exactly <see cref="PageRunHeader.DataLength"/> bytes are left, for
    /// <see cref="LaneCall.Read"/> into where they belong.
    /// </summary>
    /// <exception cref="LaneException">The message is malformed or breaks a rule of transport.proto (the call is over), or the connection
    /// failed.</exception>
    public static PageRunHeader ReadHeader(LaneCall call)
    {
        var reader = new LaneProtoReader(call, "PageRun");
        uint ramBlock = 0;
        ulong firstPage = 0;
        uint pageCount = 0;
        bool zero = false;
        bool huge = false;
        uint mark = 0;
        uint compression = 0;
        int dataLength = 0;
        while (reader.Field != DataField && reader.TryReadTag())
        {
            switch (reader.Field)
            {
                case RamBlockField:
                    ramBlock = reader.ReadUInt32();
                    break;
                case FirstPageField:
                    firstPage = reader.ReadVarint();
                    break;
                case PageCountField:
                    pageCount = reader.ReadUInt32();
                    break;
                case ZeroField:
                    zero = reader.ReadVarint() != 0;
                    break;
                case HugeField:
                    huge = reader.ReadVarint() != 0;
                    break;
                case MarkField:
                    mark = reader.ReadUInt32();
                    break;
                case CompressionField:
                    compression = reader.ReadUInt32();
                    break;
                case DataField:
                    dataLength = reader.ReadLastBytesLength();
                    break;
                default:
                    reader.Skip();
                    break;
            }
        }

        var header = new PageRunHeader(
            ramBlock, firstPage, pageCount, zero, huge, (PrecopyMark)mark, (PageCompression)compression, compression != 0 ? dataLength : 0);
        if (header.Fault is { } fault)
        {
            throw reader.Malformed(fault);
        }

        return dataLength == header.DataLength
            ? header
            : throw reader.Malformed($"{dataLength} bytes of data for {pageCount} pages{(zero ? " of zeros" : "")}");
    }
}
