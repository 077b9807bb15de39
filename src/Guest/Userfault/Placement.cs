namespace MigrationD.Guest.Userfault;

/// <summary>How a page that was received gets to its address.</summary>
public enum Placement
{
    /// <summary>
    /// The page that was received into is itself moved there (UFFDIO_MOVE, Linux 6.8); copied only where the kernel refuses.
    /// </summary>
    Move,

    /// <summary>Its content is copied into a new page (UFFDIO_COPY).</summary>
    Copy,
}
