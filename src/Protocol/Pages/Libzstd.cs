using System.Runtime.InteropServices;

namespace MigrationD.Protocol.Pages;

/// <summary>The Zstandard library of the host, where it has one.</summary>
internal static unsafe partial class Libzstd
{
    // The name has the version of its interface in it, which has not changed since 2016.
    private const string Library = "libzstd.so.1";

    /// <summary>Whether the host has it.</summary>
    public static bool IsThere { get; } = NativeLibrary.TryLoad(Library, out _);

    /// <summary>Packs as one frame; bytes written, or null when they are more than fit.</summary>
    public static int? Compress(ZstdCompressor context, Span<byte> into, ReadOnlySpan<byte> from, int level)
    {
        // SAFETY: the library reads and writes inside the two spans, whose lengths it is given, and keeps neither.
        fixed (byte* destination = into, source = from)
        {
            nuint length = ZSTD_compressCCtx(context, destination, (nuint)into.Length, source, (nuint)from.Length, level);
            return ZSTD_isError(length) == 0 ? (int)length : null;
        }
    }

    /// <summary>Unpacks; bytes written, or null when these are no frames, or they hold more than fits.</summary>
    public static int? Decompress(ZstdDecompressor context, Span<byte> into, ReadOnlySpan<byte> from)
    {
        // SAFETY: as above; what is unpacked in one piece is its own window, so a peer cannot make the library allocate one.
        fixed (byte* destination = into, source = from)
        {
            nuint length = ZSTD_decompressDCtx(context, destination, (nuint)into.Length, source, (nuint)from.Length);
            return ZSTD_isError(length) == 0 ? (int)length : null;
        }
    }

    [LibraryImport(Library)]
    internal static partial nint ZSTD_createCCtx();

    [LibraryImport(Library)]
    internal static partial nuint ZSTD_freeCCtx(nint context);

    [LibraryImport(Library)]
    internal static partial nint ZSTD_createDCtx();

    [LibraryImport(Library)]
    internal static partial nuint ZSTD_freeDCtx(nint context);

    [LibraryImport(Library)]
    private static partial nuint ZSTD_compressCCtx(
        ZstdCompressor context, byte* destination, nuint capacity, byte* source, nuint length, int level);

    [LibraryImport(Library)]
    private static partial nuint ZSTD_decompressDCtx(
        ZstdDecompressor context, byte* destination, nuint capacity, byte* source, nuint length);

    [LibraryImport(Library)]
    private static partial uint ZSTD_isError(nuint code);
}
