namespace MigrationD.Guest.Userfault;

/// <summary>What one receiving thread places its pages with; see <see cref="PagePlacer"/>.</summary>
public interface IPagePlacer : IDisposable
{
    /// <inheritdoc cref="PagePlacer.Stage"/>
    Span<byte> Stage(long firstPage, int pageCount);

    /// <inheritdoc cref="PagePlacer.Place"/>
    int Place(long firstPage, int pageCount, PagePath path);

    /// <inheritdoc cref="PagePlacer.Replace"/>
    void Replace(long firstPage, int pageCount, PagePath path);

    /// <inheritdoc cref="PagePlacer.PlaceZeros"/>
    long PlaceZeros(long firstPage, long pageCount, PagePath path);

    /// <inheritdoc cref="PagePlacer.ReplaceByZeros"/>
    void ReplaceByZeros(long firstPage, long pageCount, PagePath path);

    /// <inheritdoc cref="PagePlacer.Refill"/>
    void Refill();
}
