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
    /// <summary>The destination's.</summary>
    public static RamMap Of(IncomingMemory incoming)
    {
        ReceivedBlocks blocks = incoming.Blocks;
        int[] pages = new int[blocks.Count];
        string paths = string.Create(blocks.Count, (incoming, pages), static (letters, of) =>
        {
            for (int block = 0; block < letters.Length; block++)
            {
                of.pages[block] = (int)of.incoming.Received.CountIn((long)block * GuestPage.PerBlock, GuestPage.PerBlock);
                letters[block] = of.pages[block] == 0 ? '.' : Letter(of.incoming.Blocks.Of(block));
            }
        });
        return new RamMap(pages, paths);
    }

    /// <summary>The source's.</summary>
    /// <param name="pages">How many pages of each block have been sent.</param>
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
