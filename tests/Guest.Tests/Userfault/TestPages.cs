using System.Runtime.InteropServices;

namespace MigrationD.Guest.Tests.Userfault;

/// <summary>Steps that several tests take.</summary>
internal static unsafe class TestPages
{
    /// <summary>Every wait of a test ends here: a test that hangs has failed.</summary>
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    private const ulong CopyModeDoNotWake = 1;

    /// <summary>Stages and places pages with their <see cref="PageContent"/>; returns how many were new.</summary>
    public static int Place(PagePlacer placer, long first, int count, PagePath path = PagePath.Push)
    {
        PageContent.Fill(first, placer.Stage(first, count));
        int placed = placer.Place(first, count, path);
        placer.Refill();
        return placed;
    }

    /// <summary>
    /// A page that the kernel has and the bitmap does not: another placer, between its ioctl and its entry in the bitmap.
    /// </summary>
    public static void PlaceUnmarked(IncomingMemory incoming, long page, bool wake = true)
    {
        void* source = NativeMemory.AlignedAlloc(GuestPage.Size, GuestPage.Size);
        try
        {
            PageContent.Fill(page, new Span<byte>(source, GuestPage.Size));
            var copy = new UserfaultfdAbi.Transfer
            {
                Destination = (ulong)incoming.Memory.AddressOf(page),
                Source = (ulong)source,
                Length = GuestPage.Size,
                Mode = wake ? 0 : CopyModeDoNotWake,
            };
            Assert.Equal(0, Libc.Ioctl(incoming.Userfaultfd.Descriptor, UserfaultfdAbi.IoctlCopy, &copy));
        }
        finally
        {
            NativeMemory.AlignedFree(source);
        }
    }

    /// <summary>Reads pages that are all there, and fails on the first that is not what was sent.</summary>
    public static void AssertContent(GuestMemory memory, long first, long count)
    {
        byte[] read = new byte[GuestPage.Size];
        for (long page = first; page < first + count; page++)
        {
            memory.Read(page << GuestPage.Shift, read);
            Assert.True(PageContent.IsWhole(page, read), $"page {page} is not what was sent");
        }
    }

    public static void AssertJoins(Thread thread) => Assert.True(thread.Join(Deadline), $"thread '{thread.Name}' did not end in time");

    public static void AssertEventually(Func<bool> condition, string what) =>
        Assert.True(SpinWait.SpinUntil(condition, Deadline), $"did not happen in time: {what}");
}
