using Google.Protobuf;
using MigrationD.Daemon.Logging;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Destination;

/// <summary>
/// Carries out what the source orders on the handover lane, one order after the other, on the thread that read it, and answers each: no
/// hand-over, because a guest stands still meanwhile.
/// </summary>
internal sealed class HandoverOrders : IDisposable
{
    private readonly Lock _lock = new();
    private readonly LaneCall _lane;
    private readonly IHandoverTarget _target;
    private readonly string _guest;
    private readonly ILogger _logger;
    private readonly Timer _ping;
    private bool _isCarryingOut;
    private bool _isAnswering;
    private bool _isLate;
    private string? _end;

    public HandoverOrders(LaneCall lane, IHandoverTarget target, string guest, ILogger logger)
    {
        _lane = lane;
        _target = target;
        _guest = guest;
        _logger = logger;
        _ping = new Timer(_ => OnTick(), null, LaneOptions.PingInterval, LaneOptions.PingInterval);
    }

    /// <summary>Serves until the guest runs here, or the source ends the lane.</summary>
    /// <exception cref="LaneException">The lane broke, the source sent no order, or the session is over.</exception>
    public void Run()
    {
        while (_lane.TryReadMessage(out int length))
        {
            HandoverOrder order = Read(length);
            Begin();
            HandoverAnswer answer = CarryOut(order);
            Volatile.Write(ref _isAnswering, true);
            _lane.Write(answer.ToByteArray());
            Answered();
            if (order.OrderCase == HandoverOrder.OrderOneofCase.Run && answer.Code == 0)
            {
                return;
            }
        }
    }

    /// <summary>Ends the lane of a session that is over or gives its lanes up, after the answer to an order that is under way.</summary>
    public void End(string reason)
    {
        lock (_lock)
        {
            _end ??= reason;
            if (_isCarryingOut)
            {
                return;
            }
        }

        _lane.Abort(reason);
    }

    public void Dispose() => _ping.Dispose();

    private HandoverOrder Read(int length)
    {
        byte[] message = new byte[length];
        _lane.Read(message);
        try
        {
            HandoverOrder order = HandoverOrder.Parser.ParseFrom(message);
            return order.OrderCase != HandoverOrder.OrderOneofCase.None
                ? order
                : throw _lane.Refuse(Because.Invalid, "a HandoverOrder without any order that is known here");
        }
        catch (InvalidProtocolBufferException error)
        {
            throw _lane.Refuse(Because.Invalid, $"a malformed HandoverOrder: {error.Message}");
        }
    }

    private void Begin()
    {
        lock (_lock)
        {
            _isCarryingOut = _end is null;
        }

        ThrowIfOver();
    }

    private void Answered()
    {
        lock (_lock)
        {
            _isCarryingOut = _isAnswering = _isLate = false;
        }

        ThrowIfOver();
    }

    /// <summary>
    /// Pings while an order is carried out: nobody reads here then, and so nobody answers the source's pings, which must not take that for
    /// silence. And ends a lane whose source takes no answer when its session has ended.
    /// </summary>
    private void OnTick()
    {
        _lane.Ping();
        string? reason;
        lock (_lock)
        {
            bool isLate = _isLate;
            _isLate = _end is not null && _isAnswering;
            reason = isLate && _isLate ? _end : null;
        }

        if (reason is not null)
        {
            _lane.Abort(reason);
        }
    }

    private void ThrowIfOver()
    {
        if (_end is { } reason)
        {
            throw new LaneException(LaneFailure.Aborted, reason);
        }
    }

    private HandoverAnswer CarryOut(HandoverOrder order)
    {
        try
        {
            switch (order.OrderCase)
            {
                case HandoverOrder.OrderOneofCase.Forget:
                    _target.Forget(order.Forget.StaleRuns);
                    break;
                case HandoverOrder.OrderOneofCase.LoadState:
                    _target.LoadState(order.LoadState.DeviceState.Memory);
                    break;
                default:
                    _target.Run();
                    break;
            }

            return new HandoverAnswer();
        }
        catch (Refusal refusal)
        {
            return new HandoverAnswer { Code = (uint)refusal.Why, Message = refusal.Message };
        }
        catch (Exception error)
        {
            DaemonLog.OrderFailed(_logger, error, order.OrderCase.ToString(), _guest);
            return new HandoverAnswer
            {
                Code = (uint)Because.Failed,
                Message = $"{order.OrderCase} of guest '{_guest}' failed on the destination in a way that it did not foresee; its log has "
                    + "the cause",
            };
        }
    }
}

/// <summary>What a source can order on the handover lane, carried out on the lane's own thread.</summary>
internal interface IHandoverTarget
{
    /// <summary>Makes pages missing again that were written on the source after they were sent.</summary>
    /// <exception cref="Refusal">NotNow: it is not the time for it. Invalid: there are no such pages.</exception>
    void Forget(IReadOnlyList<ulong> staleRuns);

    /// <summary>Loads the device state on the calling thread; when it returns, the guest could run now.</summary>
    /// <exception cref="Refusal">NotNow: it is not the time for it, or the state cannot be loaded and the session is over.</exception>
    void LoadState(ReadOnlyMemory<byte> state);

    /// <summary>Lets the guest run here. From here on it is this node's.</summary>
    /// <exception cref="Refusal">NotNow: it is not loaded, or given up.</exception>
    void Run();
}
