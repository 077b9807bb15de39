using MigrationD.Guest.Memory;
using MigrationD.Guest.Userfault;

namespace MigrationD.Daemon.Migrations;

/// <summary>How far a guest's memory has come, block of 2 MiB by block, and how.</summary>
/// <param name="Pages">How many of the pages of each block are there (on the destination) or have been sent (on the source).</param>
/// <param name="Paths">
/// For each block a letter: <c>u</c> for pages that were asked for, <c>p</c> for pushed ones, <c>z</c> for zeros, <c>m</c> when they
/// came in more than one of these ways, <c>s</c> for sent (on the source, which keeps no more than that), <c>.</c> for none.
/// </param>
internal sealed record RamMap(IReadOnlyList<int> Pages, string Paths)
{
    /// <summary>The map of a destination.</summary>
    public static RamMap Of(IIncomingMemory incoming)
    {
        int[] pages =
        [
            .. Enumerable.Range(0, incoming.Blocks.Count)
                .Select(block => (int)incoming.Received.CountIn((long)block * GuestPage.PerBlock, GuestPage.PerBlock)),
        ];
        return new RamMap(pages, string.Concat(pages.Select((count, block) => count == 0 ? '.' : Letter(incoming.Blocks.Of(block)))));
    }

    /// <summary>The map of a source, which has sent so many pages of each block.</summary>
    public static RamMap OfSent(IReadOnlyList<int> pages) =>
        new(pages, string.Concat(pages.Select(count => count == 0 ? '.' : 's')));

    private static char Letter(BlockPaths paths) => paths switch
    {
        BlockPaths.None => '.',
        BlockPaths.Urgent => 'u',
        BlockPaths.Push => 'p',
        BlockPaths.Zero => 'z',
        _ => 'm',
    };
}
