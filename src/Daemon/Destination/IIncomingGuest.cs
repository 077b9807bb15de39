using MigrationD.Daemon.Migrations;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Destination;

/// <summary>Everything that a guest on its way in is made of, as its session uses it: its machine, its memory with the pages to come, its lanes.</summary>
internal interface IIncomingGuest
{
    /// <summary>A lane broke; which, and how. Raised on the lane's thread.</summary>
    event Action<string, Exception>? LaneLost;

    /// <summary>All lanes are open. Raised on a lane's thread, before it receives.</summary>
    event Action? LanesOpened;

    /// <summary>Every page is here. Raised at least once, on a lane's thread.</summary>
    event Action? AllPagesReceived;

    /// <summary>How the source may pack what it pushes.</summary>
    PageCompression Compression { get; }

    /// <summary>Whether what is said at the switchover comes on a lane.</summary>
    bool HasHandoverLane { get; }

    /// <summary>Whether pages come before the guest, and again.</summary>
    bool HasPrecopy { get; }

    /// <summary>How many pages it has.</summary>
    long PagesTotal { get; }

    /// <summary>How many of them are here.</summary>
    long PagesReceived { get; }

    /// <summary>Which of them are here, a bit for each.</summary>
    byte[] ReceivedBitmap();

    /// <summary>Figures that change all the time.</summary>
    LiveFigures Figures();

    /// <summary>How far its memory has come.</summary>
    RamMap Map();

    /// <summary>Serves one lane on the lane's own thread until it ends.</summary>
    /// <param name="call">The lane.</param>
    /// <param name="target">Who carries out what is said at the switchover.</param>
    /// <exception cref="Refusal">There is no such lane now.</exception>
    void Serve(LaneCall call, IHandoverTarget target);

    /// <summary>Makes pages missing again that were written on the source after they were sent.</summary>
    /// <exception cref="Refusal">NotNow: pages may still be coming. Invalid: there are no such pages.</exception>
    void Forget(IReadOnlyList<ulong> staleRuns);

    /// <summary>Runs <see cref="Load"/> on a thread that stands by for it, for whoever has none that may wait for pages.</summary>
    Task OnLoader(Action load);

    /// <summary>From now on nothing is discarded before <see cref="Load"/> has ended, which has to follow.</summary>
    void BeginLoading();

    /// <summary>Loads the device state on the calling thread, which may wait for pages meanwhile: the lanes already serve.</summary>
    void Load(ReadOnlyMemory<byte> state);

    /// <summary>The guest is this node's, and runs unless it was paused where it came from.</summary>
    void Arrive();

    /// <summary>Ends all lanes for others to take their place. Not reported as lost.</summary>
    Task CloseLanesAsync(string reason);

    /// <summary>Every page is here: ends the registration, and gives the guest to this node alone. May be repeated when it fails.</summary>
    Task SettleAsync();

    /// <summary>
    /// The source is gone and pages with it: the guest stands still, and who waits for a page is taken out of its wait as far as the kernel
    /// lets. Memory and registration stay, so that nobody reads zeros.
    /// </summary>
    /// <param name="reason">Why, for whoever asks about the guest.</param>
    /// <param name="forget">What deleting the guest means from now on; ends when nothing of it is left.</param>
    void Lose(string reason, Func<Task> forget);

    /// <summary>The source is back: the guest goes on, unless it stood still already when it was lost.</summary>
    void Revive();

    /// <summary>Closes what only the migration needed, when the source has closed its side.</summary>
    Task CloseAsync();

    /// <summary>Forgets a guest that has never run here, or is lost.</summary>
    Task DiscardAsync(string reason);
}
