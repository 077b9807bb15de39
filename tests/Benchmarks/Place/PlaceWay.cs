namespace MigrationD.Benchmarks.Place;

/// <summary>A way to bring what was received to its address in one step that no reader sees half done.</summary>
internal enum PlaceWay
{
    /// <summary>UFFDIO_MOVE out of staging.</summary>
    Move,

    /// <summary>UFFDIO_COPY out of one buffer that is used again and again.</summary>
    Copy,

    /// <summary>UFFDIO_COPY out of staging, then MADV_DONTNEED of what was copied: the fallback that was proposed for MOVE.</summary>
    CopyAndDiscard,

    /// <summary>mremap(2) out of staging, over the address: what there was before userfaultfd.</summary>
    Remap,
}
