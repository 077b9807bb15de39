using Microsoft.Extensions.Logging;
using MigrationD.Daemon.Faults;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Logging;
using MigrationD.Daemon.Threading;
using MigrationD.Guest;
using MigrationD.Guest.Memory;
using MigrationD.Guest.Userfault;

namespace MigrationD.Daemon.Destination;

/// <summary>
/// Everything that a guest on its way in is made of: its machine, its memory with the pages still to come, its lanes. Let go of when it has
/// arrived or is not coming, so that a session that is only remembered costs nothing.
/// </summary>
internal sealed class IncomingGuest(
    GuestRegistry registry, HostedGuest hosted, IGuest guest, IncomingMemory memory, DestinationLanes lanes, bool runOnArrival,
    ILogger logger)
{
    private readonly StandbyThread _loader = new($"load {hosted.Name}");
    private volatile TaskCompletionSource? _loading;
    private Task _vcpus = Task.CompletedTask;
    private bool _ranWhenLost;

    public DestinationLanes Lanes => lanes;

    public IncomingMemory Memory => memory;

    /// <summary>Runs <see cref="Load"/> on a thread that stands by for it, for whoever has none that may wait for pages.</summary>
    public Task OnLoader(Action load) => _loader.Run(load);

    /// <summary>From now on nothing is discarded before <see cref="Load"/> has ended, which has to follow.</summary>
    public void BeginLoading() => _loading = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Loads the device state on the calling thread, which may wait for pages meanwhile: the lanes already serve.</summary>
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

    /// <summary>The guest is this node's, and runs unless it was paused where it came from.</summary>
    public void Arrive()
    {
        hosted.Arrive(runOnArrival);
        lanes.GuestRuns();
    }

    /// <summary>Every page is here: ends the registration, and gives the guest to this node alone.</summary>
    public async Task SettleAsync()
    {
        await lanes.StopFaultsAsync().ConfigureAwait(false);
        memory.Complete();
        Task noted = hosted.SettleAsync(() => new HugePageRestorer(
            guest.Memory, memory.HugeBlocks(), restored => DaemonLog.HugePagesRestored(logger, hosted.Name, restored)));
        await noted.ConfigureAwait(false);
    }

    /// <summary>
    /// The source is gone and pages with it: the guest stands still, and who waits for a page is taken out of its wait as far as the kernel
    /// lets. Memory and registration stay, so that nobody reads zeros.
    /// </summary>
    /// <param name="reason">Why, for whoever asks about the guest.</param>
    /// <param name="forget">What deleting the guest means from now on; ends when nothing of it is left.</param>
    public void Lose(string reason, Func<Task> forget)
    {
        hosted.Lose(new Loss(reason, memory.Received, forget));
        _vcpus = AfterAsync(_vcpus, $"pause {hosted.Name}", () =>
        {
            _ranWhenLost = guest.IsRunning;
            guest.Pause();
        });
    }

    /// <summary>The source is back: the guest goes on, unless it stood still already when it was lost.</summary>
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

    /// <summary>Closes what only the migration needed, when the source has closed its side.</summary>
    public async Task CloseAsync()
    {
        await lanes.FinishAsync().ConfigureAwait(false);
        _loader.Dispose();
        memory.Dispose();
        lanes.Dispose();
    }

    /// <summary>Forgets a guest that has never run here, or is lost.</summary>
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
