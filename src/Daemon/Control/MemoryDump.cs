using Google.Protobuf;
using MigrationD.Daemon.Guests;
using MigrationD.Guest.Memory;
using MigrationD.Guest.Userfault;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Control;

/// <summary>A guest's memory as chunks: what is here and is not zeros, then what is missing.</summary>
internal static class MemoryDump
{
    // A quarter of what a gRPC message may have.
    private const int PagesAChunk = 256;

    /// <summary>The chunks, in order of their addresses, the summary last.</summary>
    public static async IAsyncEnumerable<DumpChunk> ChunksOf(HostedGuest guest)
    {
        using HeldMemory held = guest.HoldWhatIsHere("dump");
        byte[] page = new byte[PagesAChunk * GuestPage.Size];
        var summary = new DumpSummary { MemoryBytes = (ulong)held.Memory.Length };
        long pages = held.Memory.PageCount;
        for (long first = 0; first < pages;)
        {
            long end = Math.Min(first + PagesAChunk, pages);
            if (held.Present is { } present)
            {
                long here = present.NextReceived(first);
                if (here > first)
                {
                    summary.Missing.Add(new PageRange { First = (ulong)first, Count = (ulong)(here - first) });
                    first = here;
                    continue;
                }

                end = Math.Min(end, present.NextMissing(first));
            }

            int length = (int)(end - first) * GuestPage.Size;
            held.Memory.Read(first * GuestPage.Size, page.AsSpan(0, length));
            if (page.AsSpan(0, length).ContainsAnyExcept((byte)0))
            {
                yield return new DumpChunk { Offset = (ulong)first * GuestPage.Size, Data = ByteString.CopyFrom(page, 0, length) };
            }

            first = end;
            // Others want this thread, too.
            await Task.Yield();
        }

        yield return new DumpChunk { Summary = summary };
    }
}
