using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace MigrationD.Guest.Tests.Userfault;

/// <summary>Content that belongs to one page and no other, every eight bytes of it different from the rest.</summary>
internal static class PageContent
{
    public static byte[] Of(long page)
    {
        byte[] content = new byte[GuestPage.Size];
        Fill(page, content);
        return content;
    }

    /// <summary>Fills one page or several that follow each other.</summary>
    public static void Fill(long firstPage, Span<byte> into)
    {
        Span<ulong> words = MemoryMarshal.Cast<byte, ulong>(into);
        for (int i = 0; i < words.Length; i++)
        {
            words[i] = Word(firstPage + (i / (GuestPage.Size / sizeof(ulong))), i % (GuestPage.Size / sizeof(ulong)));
        }
    }

    public static bool IsWhole(long page, ReadOnlySpan<byte> content)
    {
        for (int i = 0; i < GuestPage.Size / sizeof(ulong); i++)
        {
            if (BinaryPrimitives.ReadUInt64LittleEndian(content[(i * sizeof(ulong))..]) != Word(page, i))
            {
                return false;
            }
        }

        return true;
    }

    private static ulong Word(long page, int index) => (((ulong)page << 9) + (ulong)index + 1) * 0x9E3779B97F4A7C15;
}
