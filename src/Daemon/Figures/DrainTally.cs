using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Figures;

/// <summary>What is known of a drain: all of its updates together.</summary>
internal sealed class DrainTally
{
    private readonly SortedDictionary<string, DrainGuest> _guests = new(StringComparer.Ordinal);
    private readonly Dictionary<string, DrainPeer> _peers = new(StringComparer.Ordinal);

    /// <summary>Every guest, by name.</summary>
    public IReadOnlyCollection<DrainGuest> Guests => _guests.Values;

    /// <summary>Every peer that has been asked, in the order in which they were.</summary>
    public IReadOnlyCollection<DrainPeer> Peers => _peers.Values;

    /// <summary>Whether nothing follows.</summary>
    public bool Ended { get; private set; }

    /// <summary>Guests whose migration is under way.</summary>
    public IEnumerable<DrainGuest> Moving => In(DrainState.Moving);

    /// <summary>Memory of all guests that are to leave or have left in this drain, in bytes.</summary>
    public ulong TotalBytes => Sum(Guests.Where(guest => guest.State != DrainState.Gone));

    /// <summary>Memory of those that have left.</summary>
    public ulong MovedBytes => Sum(In(DrainState.Moved));

    /// <summary>Bytes a second, over all migrations under way.</summary>
    public double BytesPerSecond => Moving.Sum(guest => guest.Migration?.BytesPerSecond ?? 0);

    /// <summary>When all that moves or waits will have moved at the rate of now; null where nothing comes.</summary>
    public TimeSpan? TimeRemaining
    {
        get
        {
            double pages = In(DrainState.Waiting).Sum(guest => (double)guest.MemoryBytes / TransferFigures.PageSize)
                + Moving.Sum(guest => (double)new TransferFigures(guest.Migration ?? new Migration()).MissingPages);
            double rate = Moving.Sum(guest => guest.Migration?.PagesPerSecond ?? 0);
            return rate > 0 ? TimeSpan.FromSeconds(Math.Min(pages / rate, TimeSpan.MaxValue.TotalSeconds / 2)) : null;
        }
    }

    /// <summary>Guests in this state, by name.</summary>
    public IEnumerable<DrainGuest> In(DrainState state) => Guests.Where(guest => guest.State == state);

    /// <summary>Adds an update.</summary>
    public void Add(DrainUpdate update)
    {
        foreach (var guest in update.Guests)
        {
            _guests[guest.Name] = guest;
        }

        foreach (var peer in update.Peers)
        {
            _peers[peer.Address] = peer;
        }

        Ended |= update.Ended;
    }

    private static ulong Sum(IEnumerable<DrainGuest> guests) => guests.Aggregate(0UL, (sum, guest) => sum + guest.MemoryBytes);
}
