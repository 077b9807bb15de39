using MigrationD.Daemon.Faults;
using MigrationD.Daemon.Figures;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Logging;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Threading;
using MigrationD.Guest.Memory;
using MigrationD.Guest.Userfault;
using MigrationD.Guest;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Destination;

/// <summary>
/// Everything that a guest on its way in is made of. It is dropped when the guest has arrived or is not coming, so that a session that is
/// only remembered costs nothing.
/// </summary>
internal sealed class IncomingGuest(
    GuestRegistry registry, HostedGuest hosted, IGuest guest, IIncomingMemory memory, DestinationLanes lanes, bool runOnArrival,
    ILogger logger) : IIncomingGuest
{
    private readonly StandbyThread _loader = new($"load {hosted.Name}");
    private volatile TaskCompletionSource? _loading;
    private Task _vcpus = Task.CompletedTask;
    private bool _ranWhenLost;

    public event Action<string, Exception>? LaneLost
    {
        add => lanes.Lost += value;
        remove => lanes.Lost -= value;
    }

    public event Action? LanesOpened
    {
        add => lanes.Opened += value;
        remove => lanes.Opened -= value;
    }

    public event Action? AllPagesReceived
    {
        add => lanes.AllPagesReceived += value;
        remove => lanes.AllPagesReceived -= value;
    }

    public PageCompression Compression => lanes.Agreed.Compression;

    public bool HasHandoverLane => lanes.Agreed.Handover;

    public bool HasPrecopy => lanes.Agreed.Precopy;

    public long PagesTotal => memory.Received.Total;

    public long PagesReceived => memory.Received.Count;

    public byte[] ReceivedBitmap() => memory.Received.ToBytes();

    public LiveFigures Figures() =>
        new(lanes.BytesReceived, memory.Received.Count, MigrationFigures.ToMessage(memory.Counters));

    public RamMap Map() => RamMap.Of(memory);

    public void Serve(LaneCall call, IHandoverTarget target) => lanes.Serve(call, target);

    public void Forget(IReadOnlyList<ulong> staleRuns) => lanes.Precopy!.Forget(staleRuns);

    public Task OnLoader(Action load) => _loader.Run(load);

    public void BeginLoading() => _loading = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

    public void Load(ReadOnlyMemory<byte> state)
    {
        try
        {
            FaultInjection.At("destination.loading");
            // After precopy alone no page follows that could end the migration.
            lanes.EndPrecopy();
            guest.LoadState(state.Span);
        }
        finally
        {
            _loading!.SetResult();
        }
    }

    public void Arrive()
    {
        hosted.Arrive(runOnArrival);
        lanes.GuestRuns();
    }

    public Task CloseLanesAsync(string reason) => lanes.CloseAsync(reason);

    public async Task SettleAsync()
    {
        await lanes.StopFaultsAsync().ConfigureAwait(false);
        memory.Complete();
        Task recorded = hosted.SettleAsync(() => new HugePageRestorer(
            guest.Memory, memory.HugeBlocks(), restored => DaemonLog.HugePagesRestored(logger, hosted.Name, restored)));
        await recorded.ConfigureAwait(false);
    }

    public void Lose(string reason, Func<Task> forget)
    {
        hosted.Lose(new Loss(reason, memory.Received, forget));
        _vcpus = AfterAsync(_vcpus, $"pause {hosted.Name}", () =>
        {
            _ranWhenLost = guest.IsRunning;
            guest.Pause();
        });
    }

    public void Revive()
    {
        hosted.Revive();
        _vcpus = AfterAsync(_vcpus, $"resume {hosted.Name}", () =>
        {
            if (_ranWhenLost)
            {
                guest.Resume();
            }
        });
    }

    public async Task CloseAsync()
    {
        await lanes.FinishAsync().ConfigureAwait(false);
        _loader.Dispose();
        memory.Dispose();
        lanes.Dispose();
    }

    public async Task DiscardAsync(string reason)
    {
        await lanes.AbortAsync(reason).ConfigureAwait(false);
        // Loading may wait for a page that will never come; it gives up when the machine does. Then nobody is left who could take a
        // missing page for zeros: the memory is made inaccessible before its userfaultfd is closed, and unmapped last.
        hosted.ForgetIncoming();
        await (_loading?.Task ?? Task.CompletedTask).ConfigureAwait(false);
        _loader.Dispose();
        memory.Dispose();
        lanes.Dispose();
        guest.Memory.Dispose();
        // Before its name is free: who waits for that needs the memory as well.
        hosted.ReturnMemoryShare();
        await registry.Remove(hosted).ConfigureAwait(false);
    }

    /// <summary>
    /// Does one after the other, each on a thread of its own: a vCPU that waits in the kernel for a page that will not come may not be had
    /// at all.
    /// </summary>
    private static async Task AfterAsync(Task before, string name, Action work)
    {
        await before.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await DedicatedThread.Start(name, work).ConfigureAwait(false);
    }
}

/// <summary>A guest on its way in, as its session uses it: its machine, its memory with the pages to come, its lanes.</summary>
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

    long PagesTotal { get; }

    long PagesReceived { get; }

    /// <summary>Which pages are here, a bit for each.</summary>
    byte[] ReceivedBitmap();

    LiveFigures Figures();

    RamMap Map();

    /// <summary>Serves one lane on the lane's own thread until it ends; <paramref name="target"/> carries out the switchover.</summary>
    /// <exception cref="Refusal">There is no such lane now.</exception>
    void Serve(LaneCall call, IHandoverTarget target);

    /// <summary>Makes pages missing again that were written on the source after they were sent.</summary>
    /// <exception cref="Refusal">NotNow: pages may still be coming. Invalid: there are no such pages.</exception>
    void Forget(IReadOnlyList<ulong> staleRuns);

    /// <summary>Runs <see cref="Load"/> on a thread that stands by for it, for a caller whose own may not wait for pages.</summary>
    Task OnLoader(Action load);

    /// <summary>Lets nothing be discarded before <see cref="Load"/> has ended, which has to follow.</summary>
    void BeginLoading();

    /// <summary>Loads the device state on the calling thread, which may wait for pages meanwhile: the lanes already serve.</summary>
    void Load(ReadOnlyMemory<byte> state);

    /// <summary>Makes the guest this node's, and lets it run unless it was paused where it came from.</summary>
    void Arrive();

    /// <summary>Ends all lanes for others to take their place. Not reported as lost.</summary>
    Task CloseLanesAsync(string reason);

    /// <summary>
    /// Ends the registration when every page is here, and gives the guest to this node alone. May be repeated when it fails.
    /// </summary>
    Task SettleAsync();

    /// <summary>
    /// Stops a guest whose source is gone, and pages with it; who waits for a page is taken out of its wait as far as the kernel lets.
    /// Memory and registration stay, so that nobody reads zeros. Deleting the guest means to <paramref name="forget"/> it, which ends when
    /// nothing of it is left.
    /// </summary>
    void Lose(string reason, Func<Task> forget);

    /// <summary>Lets the guest go on, as its source is back, unless it stood still already when it was lost.</summary>
    void Revive();

    /// <summary>Closes what only the migration needed, when the source has closed its side.</summary>
    Task CloseAsync();

    /// <summary>Forgets a guest that has never run here, or is lost.</summary>
    Task DiscardAsync(string reason);
}
