using MigrationD.Daemon.Threading;
using MigrationD.Guest.Interop;
using MigrationD.Guest.Memory;
using MigrationD.Guest.Userfault;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Destination;

/// <summary>
/// The lanes of one session on its destination, with their staging and the thread that reads userfaults. Connections come and go; staging,
/// ledger and fault thread stay.
/// </summary>
internal sealed class DestinationLanes : IDisposable
{
    // Urgent pages come one by one; some may be under way together, one for each vCPU and kernel thread that waits.
    private const int UrgentSlots = 64;

    private readonly Lock _lock = new();
    private readonly IIncomingMemory _incoming;
    private readonly string _guest;
    private readonly ILogger _logger;
    private readonly IPagePlacer _urgentPlacer;
    private readonly IPagePlacer[] _pushPlacers;
    private readonly FaultRequester _requester;
    private readonly LaneSlot _urgent = new("urgent");
    private readonly LaneSlot[] _push;
    private readonly LaneSlot? _handover;
    private Task? _faults;
    private volatile bool _guestRuns;
    private bool _closing;
    private bool _shut;

    /// <summary>Lanes that nobody has opened yet; staging is populated now, not when the first page comes.</summary>
    /// <exception cref="SystemCallException">The host has no memory left for the staging.</exception>
    public DestinationLanes(IIncomingMemory incoming, string guest, LanesAgreed agreed, ILogger logger)
    {
        Agreed = agreed;
        Precopy = agreed.Precopy ? new IncomingPrecopy(incoming, guest, agreed.Push) : null;
        _logger = logger;
        _incoming = incoming;
        _guest = guest;
        _requester = new FaultRequester(incoming, logger);
        _push = [.. Enumerable.Range(0, agreed.Push).Select(lane => new LaneSlot(lane == 0 ? "push" : $"push {lane}"))];
        _handover = agreed.Handover ? new LaneSlot("handover") : null;
        var placers = new List<IPagePlacer>();
        try
        {
            _urgentPlacer = Add(placers, UrgentSlots);
            _pushPlacers = [.. _push.Select(_ => Add(placers, GuestPage.PerBlock))];
        }
        catch
        {
            // The host has no memory left, and these hold some.
            placers.ForEach(placer => placer.Dispose());
            throw;
        }
    }

    public LanesAgreed Agreed { get; }

    /// <summary>What precopy has brought; null without it.</summary>
    public IncomingPrecopy? Precopy { get; }

    /// <summary>
    /// A lane broke; which, and how. Raised on the lane's thread, and not once more for those that end with it, unless one of them fails by
    /// a mistake of this program's.
    /// </summary>
    public event Action<string, Exception>? Lost;

    /// <summary>All lanes are open. Raised on a lane's thread, before it receives.</summary>
    public event Action? Opened;

    /// <summary>The received bitmap is full. Raised at least once, on a lane's thread.</summary>
    public event Action? AllPagesReceived;

    /// <summary>Bytes received on all lanes, framing included.</summary>
    public long BytesReceived
    {
        get
        {
            lock (_lock)
            {
                return Slots.Sum(slot => slot.BytesReceived);
            }
        }
    }

    /// <summary>The lanes that carry pages, for as long as any are missing.</summary>
    private IEnumerable<LaneSlot> PageSlots => [_urgent, .. _push];

    private IEnumerable<LaneSlot> Slots => _handover is null ? PageSlots : PageSlots.Append(_handover);

    /// <summary>
    /// Takes down that the guest runs here: from now on what is here is here for good, and the source is told so if it wants to know; and
    /// nothing is left to be handed over.
    /// </summary>
    public void GuestRuns() => _guestRuns = true;

    /// <summary>Serves one lane, which its path names, on the lane's own thread until it ends.</summary>
    /// <exception cref="Refusal">There is no such lane, or not now.</exception>
    public void Serve(LaneCall call, IHandoverTarget target)
    {
        switch (call.Path)
        {
            case PageLanePaths.Push:
                ServePush(call, LaneMetadata.LaneOf(call.Metadata)
                    ?? throw new Refusal(Because.Invalid, "the lane does not say in a number which one it is"));
                break;
            case PageLanePaths.Handover:
                ServeHandover(call, target);
                break;
            default:
                ServeUrgent(call);
                break;
        }
    }

    /// <summary>
    /// Ends precopy, as the guest is about to be loaded: nothing is forgotten from here on, and complete memory stays complete.
    /// </summary>
    /// <exception cref="Refusal">NotNow: the source has not said that precopy is over.</exception>
    public void EndPrecopy()
    {
        Precopy?.RefuseUnlessOver();
        if (Precopy is not null && _incoming.Received.IsComplete)
        {
            OnAllPages();
        }
    }

    /// <summary>Ends the fault thread; every page is there, so nobody will fault again.</summary>
    public Task StopFaultsAsync()
    {
        _incoming.StopFaults();
        lock (_lock)
        {
            return _faults ?? Task.CompletedTask;
        }
    }

    /// <summary>Ends all lanes for others to take their place. Not reported as lost.</summary>
    public async Task CloseAsync(string reason)
    {
        Task closed;
        lock (_lock)
        {
            _closing = true;
            closed = AbortAll(reason);
        }

        await closed.ConfigureAwait(false);
        lock (_lock)
        {
            _closing = false;
        }
    }

    /// <summary>Takes no further connection and waits until the source has closed all lanes.</summary>
    public Task FinishAsync()
    {
        lock (_lock)
        {
            _shut = true;
            return AllClosed();
        }
    }

    /// <summary>Closes all lanes for good and ends their threads' use of memory and staging.</summary>
    public async Task AbortAsync(string reason)
    {
        Task closed;
        lock (_lock)
        {
            _shut = true;
            closed = AbortAll(reason);
        }

        await StopFaultsAsync().ConfigureAwait(false);
        await closed.ConfigureAwait(false);
    }

    public void Dispose()
    {
        _urgentPlacer.Dispose();
        foreach (IPagePlacer placer in _pushPlacers)
        {
            placer.Dispose();
        }
    }

    private void ServeUrgent(LaneCall call) => Serve(_urgent, call, call.Abort, () =>
    {
        UrgentThread.Raise(_logger);
        _requester.Use(call);
        using var receiver = new PageReceiver(call, _urgentPlacer, new ArrivingPages(_incoming, PagePath.Urgent, OnAllPages));
        receiver.Run();
        if (!_incoming.Received.IsComplete)
        {
            throw new LaneException(LaneFailure.Reset, "the source closed it while pages are missing");
        }
    });

    private void ServeHandover(LaneCall call, IHandoverTarget target)
    {
        if (_handover is null)
        {
            throw new Refusal(Because.Invalid, $"the session of guest '{_guest}' has not agreed on a handover lane");
        }

        if (_guestRuns)
        {
            throw new Refusal(Because.NotNow, $"guest '{_guest}' runs here already; nothing is left to be handed over");
        }

        using var orders = new HandoverOrders(call, target, _guest, _logger);
        Serve(_handover, call, orders.End, () =>
        {
            UrgentThread.Raise(_logger);
            orders.Run();
            if (!_guestRuns)
            {
                throw new LaneException(LaneFailure.Reset, "the source closed it before the guest ran here");
            }
        });
    }

    private void ServePush(LaneCall call, int lane)
    {
        if (lane >= _push.Length)
        {
            throw new Refusal(
                Because.Invalid, $"there is no push lane {lane}: the session of guest '{_guest}' has {_push.Length}");
        }

        Serve(_push[lane], call, call.Abort, () =>
        {
            using var receiver = new PageReceiver(call, _pushPlacers[lane], new ArrivingPages(_incoming, PagePath.Push, OnAllPages)
            {
                Precopy = Precopy,
                Agreed = Agreed.Compression,
                Confirms = () => Agreed.Confirms && _guestRuns,
            });
            receiver.Run();
        });
    }

    private IPagePlacer Add(List<IPagePlacer> placers, int slots)
    {
        IPagePlacer placer = _incoming.CreatePlacer(slots);
        placers.Add(placer);
        return placer;
    }

    private Task AbortAll(string reason)
    {
        foreach (LaneSlot slot in Slots)
        {
            slot.Abort(reason);
        }

        return AllClosed();
    }

    /// <summary>
    /// Ends when no thread uses staging or the memory. That of the handover lane uses neither but while it loads, which is waited for by
    /// itself, and it may be the one that waits here.
    /// </summary>
    private Task AllClosed() => Task.WhenAll(PageSlots.Select(slot => slot.WhenClosed));

    private void OnAllPages() => AllPagesReceived?.Invoke();

    private void Serve(LaneSlot slot, LaneCall call, Action<string> end, Action receive)
    {
        bool all = Open(slot, call, end);
        try
        {
            call.Accept();
            if (all)
            {
                Opened?.Invoke();
            }

            receive();
            call.Finish();
        }
        catch (Exception error)
        {
            Report(slot, error);
        }
        finally
        {
            lock (_lock)
            {
                slot.Close();
            }
        }
    }

    /// <summary>Makes this connection the lane; says whether all are open now.</summary>
    private bool Open(LaneSlot slot, LaneCall call, Action<string> end)
    {
        lock (_lock)
        {
            if (_shut || _closing)
            {
                throw new Refusal(Because.Gone, $"the session of guest '{_guest}' takes no lanes now");
            }

            if (slot.IsOpen)
            {
                throw new Refusal(Because.AlreadyThere, $"guest '{_guest}' has its {slot.Name} lane already");
            }

            slot.Open(call, end);
            _faults ??= DedicatedThread.Start($"faults {_guest}", ReadFaults);
            return Slots.All(one => one.IsOpen || (one == _handover && _guestRuns));
        }
    }

    private void ReadFaults()
    {
        try
        {
            _requester.Run();
        }
        catch (Exception error)
        {
            Lost?.Invoke("fault", error);
        }
    }

    private void Report(LaneSlot slot, Exception error)
    {
        bool ours;
        lock (_lock)
        {
            // Nor does the handover lane end anything once it has done its work.
            ours = _shut || slot.IsAborted || (slot == _handover && _guestRuns);
            if (!ours)
            {
                // One lane is of no use without the others, and the source notices the end of all at once.
                AbortAll(error.Message);
            }
        }

        // What ended because this side ended it is no loss, unless it is no matter of lanes at all.
        if (!ours || error is not LaneException)
        {
            Lost?.Invoke(slot.Name, error);
        }
    }
}

/// <summary>What source and destination have agreed on for the lanes of one session.</summary>
/// <param name="Push">How many push lanes there are, 1 to 16.</param>
/// <param name="Compression">How pushed pages may be packed.</param>
internal sealed record LanesAgreed(int Push, PageCompression Compression)
{
    /// <summary>Whether what is said at the switchover comes on a lane.</summary>
    public bool Handover { get; init; }

    /// <summary>Whether pages come before the guest, and again.</summary>
    public bool Precopy { get; init; }

    /// <summary>Whether the source wants to know which blocks are here for good.</summary>
    public bool Confirms { get; init; }
}
