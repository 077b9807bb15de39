using System.Runtime.InteropServices;
using MigrationD.Guest.Programs.Pulse;

namespace MigrationD.Guest.Tests.Programs.Pulse;

/// <summary>Checks the whole working set of a paused guest from outside.</summary>
internal static class PulseVerifier
{
    /// <summary>
    /// How many pages of the working set are not what index and version table demand. The guest is paused and all its memory is
    /// here; a page that is missing is waited for.
    /// </summary>
    /// <remarks>
    /// A vCPU of the KVM guest may have been paused while it wrote a page. Of that page, which the vCPU's block names, every word must be
    /// that of the old or of the new version, new before old.
    /// </remarks>
    public static long CountCorruptPages(GuestSpec spec, GuestMemory memory)
    {
        var layout = new PulseLayout(spec);
        Span<ulong> page = stackalloc ulong[PulsePage.Words];
        Span<ulong> writing = stackalloc ulong[layout.Vcpus];
        for (int vcpu = 0; vcpu < layout.Vcpus; vcpu++)
        {
            memory.Read(layout.BlockOffset(vcpu) + VcpuBlock.Writing, MemoryMarshal.AsBytes(writing.Slice(vcpu, 1)));
        }

        var versions = new ulong[PulsePage.Words];
        long corrupt = 0;
        for (long index = 0; index < layout.Pages; index++)
        {
            int position = (int)(index % versions.Length);
            if (position == 0)
            {
                int count = (int)Math.Min(versions.Length, layout.Pages - index);
                memory.Read(layout.VersionOffset(index), MemoryMarshal.AsBytes(versions.AsSpan(0, count)));
            }

            memory.Read(layout.PageOffset(index), MemoryMarshal.AsBytes(page));
            bool good = writing.Contains((ulong)index + 1)
                ? IsBeingWritten(page, (ulong)index, versions[position], spec.Content)
                : PulsePage.IsIntact(page, (ulong)index, versions[position], spec.Content);
            corrupt += good ? 0 : 1;
        }

        return corrupt;
    }

    /// <summary>
    /// Whether a page is the one of <paramref name="version"/> overwritten, from its first word to any word, by the one of the
    /// version after it: what a vCPU leaves that was paused while it wrote the page.
    /// </summary>
    public static bool IsBeingWritten(ReadOnlySpan<ulong> page, ulong index, ulong version, GuestContent kind = GuestContent.Random)
    {
        Span<ulong> before = stackalloc ulong[PulsePage.Words];
        Span<ulong> after = stackalloc ulong[PulsePage.Words];
        PulsePage.Fill(before, index, version, kind);
        PulsePage.Fill(after, index, version + 1, kind);
        int written = page.CommonPrefixLength(after);
        return page[written..].SequenceEqual(before[written..]);
    }
}
