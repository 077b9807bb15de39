using Google.Protobuf;
using MigrationD.Guest.Memory;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Guests;

/// <summary>What is here of a guest's memory, block by block, as it travels.</summary>
internal static class GuestDump
{
    /// <summary>
    /// Chunks in ascending order, the summary last. Reads no page that is missing, so that it never waits, and says which these are.
    /// </summary>
    /// <exception cref="Refusal">Gone: the guest goes on meanwhile.</exception>
    public static IEnumerable<DumpChunk> Of(string name, StillMemory still)
    {
        byte[] block = new byte[GuestPage.BlockSize];
        long missing = 0;
        for (long first = 0; first < still.Memory.PageCount; first += GuestPage.PerBlock)
        {
            DumpChunk chunk = Block(still, first, block);
            if (!still.IsStill)
            {
                throw new Refusal(
                    Because.Gone,
                    $"dump guest '{name}': its source is back and the guest goes on, so its memory changes under the reading");
            }

            missing += chunk.Missing.Sum(range => (long)range.Count);
            if (chunk.Runs.Count > 0 || chunk.Missing.Count > 0)
            {
                yield return chunk;
            }
        }

        yield return new DumpChunk
        {
            Summary = new DumpSummary
            {
                MemoryBytes = (ulong)still.Memory.Length,
                PagesPresent = (ulong)(still.Memory.PageCount - missing),
                PagesMissing = (ulong)missing,
            },
        };
    }

    private static DumpChunk Block(StillMemory still, long first, byte[] block)
    {
        var chunk = new DumpChunk();
        long end = first + GuestPage.PerBlock;
        for (long page = first; page < end;)
        {
            bool here = still.IsHere(page);
            long next = page + 1;
            // A page may come meanwhile from a lane that is being closed; it is what it was when it was looked at.
            while (next < end && still.IsHere(next) == here)
            {
                next++;
            }

            if (here)
            {
                Span<byte> content = block.AsSpan(0, (int)(next - page) * GuestPage.Size);
                still.Memory.Read(page * GuestPage.Size, content);
                AddRuns(chunk, page, content);
            }
            else
            {
                chunk.Missing.Add(new PageRange { First = (ulong)page, Count = (ulong)(next - page) });
            }

            page = next;
        }

        return chunk;
    }

    /// <summary>Adds pages that are here, without those that hold zeros.</summary>
    private static void AddRuns(DumpChunk chunk, long firstPage, ReadOnlySpan<byte> content)
    {
        int pages = content.Length / GuestPage.Size;
        for (int page = 0; page < pages;)
        {
            bool zero = IsZero(content, page);
            int next = page + 1;
            while (next < pages && IsZero(content, next) == zero)
            {
                next++;
            }

            if (!zero)
            {
                chunk.Runs.Add(new DumpRun
                {
                    Offset = (ulong)((firstPage + page) * GuestPage.Size),
                    Content = ByteString.CopyFrom(content[(page * GuestPage.Size)..(next * GuestPage.Size)]),
                });
            }

            page = next;
        }
    }

    private static bool IsZero(ReadOnlySpan<byte> content, int page) =>
        !content.Slice(page * GuestPage.Size, GuestPage.Size).ContainsAnyExcept((byte)0);
}
