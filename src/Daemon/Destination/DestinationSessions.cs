using System.Collections.Concurrent;
using MigrationD.Daemon.Faults;
using MigrationD.Daemon.Figures;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Logging;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Options;
using MigrationD.Guest.Devices;
using MigrationD.Guest.Kinds;
using MigrationD.Guest.Memory;
using MigrationD.Guest.Userfault;
using MigrationD.Guest;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Messages;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.V1;
using GuestSpec = MigrationD.Guest.GuestSpec;

namespace MigrationD.Daemon.Destination;

/// <summary>The guests on their way in. Ended sessions stay known, because a source may ask about them later.</summary>
internal sealed class DestinationSessions(DestinationNode node, int limit)
{
    private readonly DestinationPatience _patience = DestinationPatience.Of(node.Timeouts);
    private readonly Lock _preparing = new();
    private readonly ConcurrentDictionary<string, DestinationSession> _sessions = new(StringComparer.Ordinal);
    private volatile bool _stopping;
    private volatile int _limit = limit;

    /// <summary>How many sessions that have ended stay known.</summary>
    public int EndedKept { get; init; } = 1000;

    /// <summary>How many guests may be on their way at a time. Fewer ends none that is.</summary>
    public int Limit
    {
        get => _limit;
        set => _limit = value;
    }

    /// <summary>How many guests are on their way.</summary>
    public int Coming => _sessions.Values.Count(session => !session.IsEnded);

    /// <summary>Whether the daemon stops and prepares for nobody.</summary>
    public bool IsStopping => _stopping;

    /// <summary>Makes everything ready for a guest, and refuses now what would have to be refused later.</summary>
    /// <exception cref="Refusal">It cannot come.</exception>
    /// <exception cref="NodeBusyException">It can come when another has arrived.</exception>
    public async Task<DestinationSession> PrepareAsync(PrepareRequest request)
    {
        if (_stopping)
        {
            throw new Refusal(Because.NotNow, "this node is stopping and takes no guests; choose another destination");
        }

        if (!ProtocolVersion.IsAccepted(request.ProtocolVersion))
        {
            throw new Refusal(
                Because.NotNow,
                $"the source speaks protocol version {request.ProtocolVersion} and this node "
                + $"{string.Join(" and ", ProtocolVersion.Accepted)}; upgrade the older of the two daemons");
        }

        if (request.DeviceStateVersion != DeviceState.Version)
        {
            throw new Refusal(
                Because.NotNow,
                $"the source saves device state in version {request.DeviceStateVersion} and this node loads version "
                + $"{DeviceState.Version}; upgrade the older of the two daemons");
        }

        GuestSpec spec = GuestMessages.FromMessage(request.Guest);
        if (request.RamBlocks.Count != 1 || request.RamBlocks[0].Bytes != (ulong)spec.MemoryBytes)
        {
            throw new Refusal(
                Because.Invalid,
                $"guest '{spec.Name}' has {spec.MemoryBytes} bytes of RAM, and the source describes "
                + $"{request.RamBlocks.Count} RAM blocks of together {request.RamBlocks.Sum(block => (decimal)block.Bytes)} bytes; "
                + "this version moves guests with one RAM block");
        }

        if (request.MigrationId.Length is 0 or > 64)
        {
            throw new Refusal(Because.Invalid, "migration_id has to have 1 to 64 characters");
        }

        if (request.PushLanes > PageLanePaths.MaxPushLanes)
        {
            throw new Refusal(
                Because.Invalid, $"push_lanes is {request.PushLanes}, and at most {PageLanePaths.MaxPushLanes} are possible");
        }

        // The answer to an earlier Prepare was lost on its way.
        foreach (DestinationSession earlier in _sessions.Values.Where(one => one.MigrationId == request.MigrationId))
        {
            await earlier.ReplaceAsync().ConfigureAwait(false);
        }

        DestinationSession session;
        lock (_preparing)
        {
            RefuseBeyondLimit(spec);
            session = Prepare(request, spec);
            _sessions[session.Id] = session;
        }

        ForgetOldest();
        FaultInjection.At("destination.prepared");
        return session;
    }

    /// <exception cref="Refusal">NotFound.</exception>
    public DestinationSession Find(string id) => _sessions.TryGetValue(id, out DestinationSession? session)
        ? session
        : throw new Refusal(
            Because.NotFound, $"this node knows no session '{id}'; it was restarted, or the session was never prepared here");

    /// <summary>Finds the guest that came in a session, or what is known of where it has gone since.</summary>
    /// <exception cref="Refusal">NotFound.</exception>
    public HostedGuest FindGuest(string id)
    {
        DestinationSession session = Find(id);
        HostedGuest guest = node.Guests.Find(session.GuestName);
        // The name may be another guest's by now, or the same one's, come back in another session.
        return guest.CameBy == session.MigrationId ? guest : throw new Refusal(
            Because.NotFound, $"the guest that came in migration {session.MigrationId} is not on this node any more");
    }

    /// <summary>Finds the session of a migration to this node, or null.</summary>
    public DestinationSession? FindMigration(string id) => _sessions.Values.FirstOrDefault(one => one.MigrationId == id && !one.IsEnded);

    /// <summary>
    /// Prepares for no guest any more, gives up those that have not run here, and waits until the pages of the others are here.
    /// </summary>
    public async Task FinishAsync(CancellationToken cancellationToken)
    {
        _stopping = true;
        await Task.WhenAll(_sessions.Values.Select(session => session.FinishAsync())).WaitAsync(cancellationToken)
            .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    public void ServeLane(LaneCall call)
    {
        try
        {
            Dispatch(call);
        }
        catch (Refusal refusal)
        {
            DaemonLog.LaneRefused(node.LaneLogger, call.RemoteEndPoint.ToString() ?? "", refusal.Message);
            node.Meter?.LaneRefused(refusal.Why);
            call.Finish(refusal);
        }
    }

    private void RefuseBeyondLimit(GuestSpec spec)
    {
        int coming = Coming;
        if (coming >= _limit)
        {
            throw new NodeBusyException(
                $"guest '{spec.Name}' cannot come now: {coming} guests are on their way to this node, which is its limit; try again when "
                + $"one has arrived, or raise {DaemonOptionKey.MaxIncoming.Flag} there");
        }
    }

    private void ForgetOldest()
    {
        // In no particular order: a source that still asks about one of so many ended migrations has stopped asking about nearly all.
        foreach (DestinationSession ended in _sessions.Values.Where(one => one.IsEnded).Skip(EndedKept).ToArray())
        {
            _sessions.TryRemove(ended.Id, out _);
        }
    }

    private void Dispatch(LaneCall call)
    {
        if (call.Path is not (PageLanePaths.Push or PageLanePaths.Urgent or PageLanePaths.Handover))
        {
            throw new Refusal(Because.NotSupported, $"there is no lane '{call.Path}' here");
        }

        // One sentence for every way of not being allowed: who guesses learns nothing.
        if (!LaneMetadata.TryRead(call.Metadata, out string? id, out byte[]? secret)
            || !_sessions.TryGetValue(id, out DestinationSession? session)
            || !session.IsSecret(secret))
        {
            throw new Refusal(Because.Untrusted, "the lane does not carry a session that is open here and its secret");
        }

        session.Serve(call);
    }

    private DestinationSession Prepare(PrepareRequest request, GuestSpec spec)
    {
        IGuest? guest = null;
        IIncomingMemory? incoming = null;
        DestinationLanes? lanes = null;
        HostedGuest hosted = node.Guests.Expect(spec, share =>
        {
            GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
            try
            {
                // Registered before anything can touch it: a page that is there already would never be asked for.
                incoming = node.Register(
                    memory, PlacementMessages.FromMessage(request.Placement), node.Meter is { } meter ? meter.FaultServed : null);
                guest = GuestFactory.Incoming(spec, memory, request.MachineProfile.Span);
                incoming.SetVcpus(guest.VcpuThreads);
                lanes = new DestinationLanes(incoming, spec.Name, Agree(request), node.Logger);
                return HostedGuest.Coming(guest, share, node.Guests.Journal, request.MigrationId, request.SourceNode);
            }
            catch
            {
                lanes?.Dispose();
                guest?.Dispose();
                incoming?.Dispose();
                memory.Dispose();
                throw;
            }
        });
        var record = new MigrationRecord(
            request.MigrationId, spec.Name, MigrationRole.Destination, request.SourceNode, request.Mode, guest!.Memory.PageCount);
        node.Migrations.Add(record);
        var coming = new IncomingGuest(node.Guests, hosted, guest, incoming!, lanes!, request.RunOnArrival, node.Logger);
        return new DestinationSession(coming, record, _patience, node.Time, node.Logger);
    }

    private static LanesAgreed Agree(PrepareRequest request) =>
        new(Math.Max(1, (int)request.PushLanes), PageCompressions.Choose(request.Compressions))
        {
            Handover = request.HandoverLane,
            Precopy = MigrationPlan.HasPrecopy(request.Mode),
            Confirms = request.ConfirmBlocks,
        };
}

/// <summary>As many guests as may be are on their way to this node: one more can come when one of them has arrived.</summary>
internal sealed class NodeBusyException(string message) : Exception(message);
