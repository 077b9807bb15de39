namespace MigrationD.Guest;

/// <summary>What a guest writes into the pages of its working set.</summary>
public enum GuestContent
{
    /// <summary>Words that have nothing in common: nothing packs them.</summary>
    Random = 1,

    /// <summary>Words that count up: packed, an eighth is left, as of the heap of many a program.</summary>
    Counting = 2,
}
