using System.Diagnostics;

namespace MigrationD.Benchmarks.Lanes;

/// <summary>The limit of bulk: a raw blocking socket from the memory of one process to as much memory of another.</summary>
internal static class RawBulk
{
    /// <summary>Reads the peer's memory into this memory once, message by message.</summary>
    public static Bulk Measure(PeerProcess peer, WarmMemory memory, int messageBytes)
    {
        TimeSpan cpu = peer.CpuOfBothEnds();
        long start = Stopwatch.GetTimestamp();
        using (RawSocket raw = RawSocket.Open(peer.Raw, messageBytes, memory.Length))
        {
            for (int offset = 0; offset < memory.Length; offset += messageBytes)
            {
                raw.Read(memory.Slice(offset, messageBytes));
            }
        }

        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        double gigabytes = memory.Length / 1e9;
        return new Bulk(gigabytes / seconds, (peer.CpuOfBothEnds() - cpu).TotalSeconds / gigabytes);
    }
}
