using System.IO.Compression;
using Google.Protobuf;

namespace MigrationD.Protocol.Pages;

/// <summary>Packs the received bitmap, which travels after a lost link: deflated (RFC 1951), as it consists of runs.</summary>
public static class ReceivedBitmap
{
    /// <summary>Packs a bitmap: page p is bit p % 8 of byte p / 8.</summary>
    public static ByteString Pack(byte[] bitmap)
    {
        using var packed = new MemoryStream();
        using (var deflate = new DeflateStream(packed, CompressionLevel.Fastest, leaveOpen: true))
        {
            deflate.Write(bitmap);
        }

        return UnsafeByteOperations.UnsafeWrap(packed.GetBuffer().AsMemory(0, (int)packed.Length));
    }

    /// <summary>Unpacks a bitmap over <paramref name="pages"/> pages, in words of 8 bytes.</summary>
    /// <exception cref="InvalidDataException">It is not deflated, shorter or longer, or has bits past the last page.</exception>
    public static byte[] Unpack(ByteString packed, long pages)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(pages);
        byte[] bitmap = new byte[(pages + 63) / 64 * 8];
        using var deflate = new DeflateStream(new MemoryStream(packed.ToByteArray(), writable: false), CompressionMode.Decompress);
        int read = deflate.ReadAtLeast(bitmap, bitmap.Length, throwOnEndOfStream: false);
        if (read != bitmap.Length || deflate.ReadByte() != -1)
        {
            throw new InvalidDataException($"the received bitmap is not {bitmap.Length} bytes long, as {pages} pages need");
        }

        for (long page = pages; page < bitmap.Length * 8L; page++)
        {
            if ((bitmap[page / 8] >> (int)(page % 8) & 1) != 0)
            {
                throw new InvalidDataException($"the received bitmap has page {page}, and there are {pages}");
            }
        }

        return bitmap;
    }
}
