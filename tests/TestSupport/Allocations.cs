namespace MigrationD.TestSupport;

/// <summary>What a piece of code allocates on the managed heap.</summary>
public static class Allocations
{
    /// <summary>The bytes that <paramref name="work"/> allocates on this thread.</summary>
    /// <param name="work">
    /// Done again whenever a collection fell into it: a collection takes from each thread what is left of the piece of heap that it
    /// allocates from, some 8 KiB, and the runtime counts that as allocated.
    /// </param>
    public static long Of(Action work)
    {
        while (true)
        {
            int collections = GC.CollectionCount(0);
            long before = GC.GetAllocatedBytesForCurrentThread();
            work();
            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            if (GC.CollectionCount(0) == collections)
            {
                return allocated;
            }
        }
    }
}
