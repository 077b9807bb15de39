using Google.Protobuf;
using MigrationD.Guest.Memory;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Guests;

/// <summary>What is here of a guest's memory, block by block, as it travels.</summary>
internal static class GuestDump
{
    /// <summary>
    /// Gives chunks in ascending order, the summary last. Reads no page that is missing, so that it never waits, and says which these are.
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

    private static DumpChunk Block(StillMemory still, long firstPage, byte[] block)
    {
        var chunk = new DumpChunk();
        // A page may come meanwhile from a lane that is being closed; it is what it was when it was looked at.
        foreach ((int first, int count, bool isHere) in Runs(GuestPage.PerBlock, page => still.IsHere(firstPage + page)))
        {
            long page = firstPage + first;
            if (!isHere)
            {
                chunk.Missing.Add(new PageRange { First = (ulong)page, Count = (ulong)count });
                continue;
            }

            Memory<byte> content = block.AsMemory(0, count * GuestPage.Size);
            still.Memory.Read(page * GuestPage.Size, content.Span);
            foreach ((int start, int length, bool isZero) in Runs(count, at => !Pages(content, at, 1).Span.ContainsAnyExcept((byte)0)))
            {
                if (!isZero)
                {
                    chunk.Runs.Add(new DumpRun
                    {
                        Offset = (ulong)((page + start) * GuestPage.Size),
                        Content = ByteString.CopyFrom(Pages(content, start, length).Span),
                    });
                }
            }
        }

        return chunk;
    }

    /// <summary>Splits pages into runs of which all or none pass a test, by first page and length. Asks once about each page.</summary>
    private static IEnumerable<(int First, int Count, bool Passes)> Runs(int pages, Func<int, bool> test)
    {
        int first = 0;
        bool passes = test(0);
        for (int next = 1; next < pages; next++)
        {
            if (test(next) != passes)
            {
                yield return (first, next - first, passes);
                (first, passes) = (next, !passes);
            }
        }

        yield return (first, pages - first, passes);
    }

    private static Memory<byte> Pages(Memory<byte> content, int first, int count) =>
        content.Slice(first * GuestPage.Size, count * GuestPage.Size);
}
