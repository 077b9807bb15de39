namespace MigrationD.Guest.Memory;

/// <summary>Pages that follow each other and are alike.</summary>
/// <param name="FirstPage">The first of them.</param>
/// <param name="PageCount">How many; at least 1.</param>
/// <param name="IsZero">Whether every one of them holds zeros only, so that none has to travel.</param>
public readonly record struct PageRun(long FirstPage, int PageCount, bool IsZero);
