namespace MigrationD.Guest.Userfault;

/// <summary>The counters behind <see cref="PlacementSnapshot"/>; added to with <see cref="Interlocked"/> by every thread.</summary>
internal sealed class PlacementCounters
{
    public long PagesUrgent;
    public long PagesPush;
    public long PagesZero;
    public long PagesZeroUrgent;
    public long PagesRedundant;
    public long PagesReplaced;
    public long PagesForgotten;
    public long Moves4K;
    public long Moves2M;
    public long Copies;
    public long Ioctls;
    public long Retries;
    public long BusyFallbacks;
    public long BlockSplitsAvoided;
    public long FaultMessages;
    public long FaultsRequested;
    public long FaultsRepeated;
    public long FaultsLate;

    /// <summary>Adds to one of the counters.</summary>
    public static void Add(ref long counter, long amount) => Interlocked.Add(ref counter, amount);

    /// <summary>All of them, with what the ledger knows.</summary>
    public PlacementSnapshot Snapshot(FaultLedger ledger) => new(
        Interlocked.Read(ref PagesUrgent),
        Interlocked.Read(ref PagesPush),
        Interlocked.Read(ref PagesZero),
        Interlocked.Read(ref PagesZeroUrgent),
        Interlocked.Read(ref PagesRedundant),
        Interlocked.Read(ref PagesReplaced),
        Interlocked.Read(ref PagesForgotten),
        Interlocked.Read(ref Moves4K),
        Interlocked.Read(ref Moves2M),
        Interlocked.Read(ref Copies),
        Interlocked.Read(ref Ioctls),
        Interlocked.Read(ref Retries),
        Interlocked.Read(ref BusyFallbacks),
        Interlocked.Read(ref BlockSplitsAvoided),
        Interlocked.Read(ref FaultMessages),
        Interlocked.Read(ref FaultsRequested),
        Interlocked.Read(ref FaultsRepeated),
        Interlocked.Read(ref FaultsLate),
        ledger.OpenCount,
        ledger.Blocktime,
        ledger.Latency.Snapshot(),
        ledger.Queue.Snapshot(),
        ledger.Network.Snapshot(),
        ledger.Place.Snapshot(),
        ledger.Vcpus.AllAtOnce,
        ledger.Vcpus.Snapshot(),
        ledger.Others);
}
