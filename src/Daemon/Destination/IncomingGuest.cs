using Microsoft.Extensions.Logging;
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
/// Everything that a guest on its way in is made of. Let go of when it has arrived or is not coming, so that a session that is only remembered
/// costs nothing.
/// </summary>
internal sealed class IncomingGuest(
    GuestRegistry registry, HostedGuest hosted, IGuest guest, IncomingMemory memory, DestinationLanes lanes, bool runOnArrival,
    ILogger logger) : IIncomingGuest
{
    private readonly StandbyThread _loader = new($"load {hosted.Name}");
    private volatile TaskCompletionSource? _loading;
    private Task _vcpus = Task.CompletedTask;
    private bool _ranWhenLost;

    /// <inheritdoc/>
    public event Action<string, Exception>? LaneLost
    {
        add => lanes.Lost += value;
        remove => lanes.Lost -= value;
    }

    /// <inheritdoc/>
    public event Action? LanesOpened
    {
        add => lanes.Opened += value;
        remove => lanes.Opened -= value;
    }

    /// <inheritdoc/>
    public event Action? AllPagesReceived
    {
        add => lanes.AllPagesReceived += value;
        remove => lanes.AllPagesReceived -= value;
    }

    /// <inheritdoc/>
    public PageCompression Compression => lanes.Agreed.Compression;

    /// <inheritdoc/>
    public bool HasHandoverLane => lanes.Agreed.Handover;

    /// <inheritdoc/>
    public bool HasPrecopy => lanes.Agreed.Precopy;

    /// <inheritdoc/>
    public long PagesTotal => memory.Received.Total;

    /// <inheritdoc/>
    public long PagesReceived => memory.Received.Count;

    /// <inheritdoc/>
    public byte[] ReceivedBitmap() => memory.Received.ToBytes();

    /// <inheritdoc/>
    public LiveFigures Figures() =>
        new(lanes.BytesReceived, memory.Received.Count, MigrationFigures.ToMessage(memory.Counters));

    /// <inheritdoc/>
    public RamMap Map() => RamMap.Of(memory);

    /// <inheritdoc/>
    public void Serve(LaneCall call, IHandoverTarget target) => lanes.Serve(call, target);

    /// <inheritdoc/>
    public void Forget(IReadOnlyList<ulong> staleRuns) => lanes.Precopy!.Forget(staleRuns);

    /// <inheritdoc/>
    public Task OnLoader(Action load) => _loader.Run(load);

    /// <inheritdoc/>
    public void BeginLoading() => _loading = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <inheritdoc/>
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

    /// <inheritdoc/>
    public void Arrive()
    {
        hosted.Arrive(runOnArrival);
        lanes.GuestRuns();
    }

    /// <inheritdoc/>
    public Task CloseLanesAsync(string reason) => lanes.CloseAsync(reason);

    /// <inheritdoc/>
    public async Task SettleAsync()
    {
        await lanes.StopFaultsAsync().ConfigureAwait(false);
        memory.Complete();
        Task noted = hosted.SettleAsync(() => new HugePageRestorer(
            guest.Memory, memory.HugeBlocks(), restored => DaemonLog.HugePagesRestored(logger, hosted.Name, restored)));
        await noted.ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public void Lose(string reason, Func<Task> forget)
    {
        hosted.Lose(new Loss(reason, memory.Received, forget));
        _vcpus = AfterAsync(_vcpus, $"pause {hosted.Name}", () =>
        {
            _ranWhenLost = guest.IsRunning;
            guest.Pause();
        });
    }

    /// <inheritdoc/>
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

    /// <inheritdoc/>
    public async Task CloseAsync()
    {
        await lanes.FinishAsync().ConfigureAwait(false);
        _loader.Dispose();
        memory.Dispose();
        lanes.Dispose();
    }

    /// <inheritdoc/>
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
        // Before its name is free: whoever waits for that needs the memory as well.
        hosted.ReturnMemoryShare();
        await registry.Remove(hosted).ConfigureAwait(false);
    }

    /// <summary>
    /// One after the other, each on a thread of its own: a vCPU that waits in the kernel for a page that will not come may not be had at all.
    /// </summary>
    private static async Task AfterAsync(Task before, string name, Action work)
    {
        await before.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await DedicatedThread.Start(name, work).ConfigureAwait(false);
    }
}
