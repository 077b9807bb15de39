namespace MigrationD.Guest.Memory;

/// <summary>Sizes of the pages that guest memory consists of (x86-64).</summary>
public static class GuestPage
{
    /// <summary>A base page, in bytes.</summary>
    public const int Size = 4096;

    /// <summary>log2 of <see cref="Size"/>.</summary>
    public const int Shift = 12;

    /// <summary>A transparent huge page, in bytes: the block in which memory moves whole.</summary>
    public const int BlockSize = 2 * 1024 * 1024;

    /// <summary>Base pages in a block.</summary>
    public const int PerBlock = BlockSize / Size;
}
