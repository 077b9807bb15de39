using Microsoft.Extensions.Logging;
using MigrationD.Daemon.Threading;
using MigrationD.Guest.Memory;
using MigrationD.Guest.Userfault;
using MigrationD.Protocol.Grpc;
using MigrationD.Protocol.Grpc.Lanes;

namespace MigrationD.Daemon.Destination;

/// <summary>Both lanes of one session on its destination, with their staging and the thread that reads userfaults.</summary>
internal sealed class DestinationLanes : IDisposable
{
    // Urgent pages come one by one; some may be under way together, one for each vCPU and kernel thread that waits.
    private const int UrgentSlots = 64;

    private readonly Lock _lock = new();
    private readonly IncomingMemory _incoming;
    private readonly string _guest;
    private readonly ILogger _logger;
    private readonly PagePlacer _urgentPlacer;
    private readonly PagePlacer _pushPlacer;
    private readonly TaskCompletionSource _urgentClosed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _pushClosed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private LaneCall? _urgent;
    private LaneCall? _push;
    private Task _faults = Task.CompletedTask;
    private bool _shut;

    /// <summary>Lanes that nobody has opened yet; staging is populated now, not when the first page comes.</summary>
    public DestinationLanes(IncomingMemory incoming, string guest, ILogger logger)
    {
        _logger = logger;
        _incoming = incoming;
        _guest = guest;
        _urgentPlacer = incoming.CreatePlacer(UrgentSlots);
        _pushPlacer = incoming.CreatePlacer(GuestPage.PerBlock);
    }

    /// <summary>A lane broke; which, and how. Raised on the lane's thread.</summary>
    public event Action<string, Exception>? Lost;

    /// <summary>The received bitmap is full. Raised at least once, on a lane's thread.</summary>
    public event Action? AllPagesReceived;

    /// <summary>Ends when neither lane is open any more.</summary>
    public Task Closed => Task.WhenAll(_urgentClosed.Task, _pushClosed.Task);

    /// <summary>Bytes received on both lanes, framing included.</summary>
    public long BytesReceived => (_urgent?.BytesRead ?? 0) + (_push?.BytesRead ?? 0);

    /// <summary>Serves the urgent lane on the lane's own thread until it ends.</summary>
    public void ServeUrgent(LaneCall call)
    {
        Open(ref _urgent, call, "urgent");
        UrgentThread.Raise(_logger);
        _faults = DedicatedThread.Start($"faults {_guest}", () => Guarded("fault", new FaultRequester(_incoming, call, _logger).Run));
        Serve("urgent", call, _urgentClosed, new PageReceiver(call, _incoming, _urgentPlacer, PagePath.Urgent, OnAllPages).Run);
    }

    /// <summary>Serves the push lane on the lane's own thread until it ends.</summary>
    public void ServePush(LaneCall call)
    {
        Open(ref _push, call, "push");
        Serve("push", call, _pushClosed, new PageReceiver(call, _incoming, _pushPlacer, PagePath.Push, OnAllPages).Run);
    }

    /// <summary>Ends the fault thread; every page is there, so nobody will fault again.</summary>
    public Task StopFaultsAsync()
    {
        _incoming.StopFaults();
        return _faults;
    }

    /// <summary>Closes both lanes and ends their threads' use of memory and staging.</summary>
    public async Task AbortAsync(string reason)
    {
        LaneCall? urgent;
        LaneCall? push;
        lock (_lock)
        {
            _shut = true;
            urgent = _urgent;
            push = _push;
        }

        urgent?.Abort(reason);
        push?.Abort(reason);
        _incoming.StopFaults();
        await _faults.ConfigureAwait(false);
        await Task.WhenAll(
            urgent is null ? Task.CompletedTask : _urgentClosed.Task,
            push is null ? Task.CompletedTask : _pushClosed.Task).ConfigureAwait(false);
    }

    public void Dispose()
    {
        _urgentPlacer.Dispose();
        _pushPlacer.Dispose();
    }

    private void OnAllPages() => AllPagesReceived?.Invoke();

    private void Open(ref LaneCall? slot, LaneCall call, string lane)
    {
        lock (_lock)
        {
            if (_shut)
            {
                throw new GrpcException(GrpcStatusCode.Aborted, $"the session of guest '{_guest}' is given up");
            }

            if (slot is not null)
            {
                throw new GrpcException(GrpcStatusCode.AlreadyExists, $"guest '{_guest}' has its {lane} lane already");
            }

            slot = call;
        }

        call.Accept();
    }

    private void Serve(string lane, LaneCall call, TaskCompletionSource closed, Action run)
    {
        try
        {
            Guarded(lane, run);
            call.Finish(GrpcStatusCode.Ok, "");
        }
        catch (LaneException)
        {
            // Its loss has been reported; there is nobody to finish the call with.
        }
        finally
        {
            closed.TrySetResult();
        }
    }

    private void Guarded(string lane, Action run)
    {
        try
        {
            run();
        }
        catch (Exception error) when (!_shut)
        {
            Lost?.Invoke(lane, error);
        }
        catch (LaneException)
        {
            // Aborted from this side.
        }
    }
}
