using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using Grpc.Core;
using MigrationD.Daemon.Destination;
using MigrationD.Daemon.Doctor;
using MigrationD.Daemon.Draining;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Logging;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Source;
using MigrationD.Daemon.Threading;
using MigrationD.Guest.Memory;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.V1;
using GuestMessage = MigrationD.Protocol.V1.Guest;
using GuestSpec = MigrationD.Guest.GuestSpec;

namespace MigrationD.Daemon.Services;

/// <summary>Answers operators: service Control of control.proto, on the local control socket.</summary>
internal sealed class ControlService(OperatedNode node, NodeEngines engines, ILogger logger, CancellationToken shutdown)
    : Control.ControlBase
{
    private static readonly TimeSpan WatchInterval = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestSilence = TimeSpan.FromSeconds(1);

    public override Task<Node> GetNode(GetNodeRequest request, ServerCallContext context) => Task.FromResult(Describe());

    public override Task<GetConfigResponse> GetConfig(GetConfigRequest request, ServerCallContext context) =>
        Task.FromResult(node.Config());

    public override Task<Health> GetHealth(GetHealthRequest request, ServerCallContext context) =>
        node.Health.CheckAsync(context.CancellationToken);

    public override Task<GuestMessage> CreateGuest(CreateGuestRequest request, ServerCallContext context) =>
        Task.Run(() => Create(request));

    public override Task<ListGuestsResponse> ListGuests(ListGuestsRequest request, ServerCallContext context) =>
        Task.FromResult(new ListGuestsResponse { Guests = { node.Guests.All().Select(guest => guest.Snapshot()) } });

    public override Task<GuestMessage> GetGuest(GetGuestRequest request, ServerCallContext context) =>
        Task.FromResult(node.Guests.Find(request.Name).Snapshot());

    public override Task<GuestMessage> PauseGuest(PauseGuestRequest request, ServerCallContext context) =>
        CommandAsync(request.Name, "pause", guest => guest.Pause());

    public override Task<GuestMessage> ResumeGuest(ResumeGuestRequest request, ServerCallContext context) =>
        CommandAsync(request.Name, "resume", guest => guest.Resume());

    public override async Task<DeleteGuestResponse> DeleteGuest(DeleteGuestRequest request, ServerCallContext context)
    {
        string name = request.Name;
        Task forgotten = await DedicatedThread.Start($"delete {name}", () => node.Guests.DeleteAsync(name)).ConfigureAwait(false);
        await forgotten.ConfigureAwait(false);
        DaemonLog.GuestDeleted(logger, name);
        return new DeleteGuestResponse();
    }

    public override async Task<HashGuestResponse> HashGuest(HashGuestRequest request, ServerCallContext context)
    {
        HostedGuest guest = node.Guests.Find(request.Name);
        using StillMemory still = guest.HoldWhole("hash");
        string hash = await DedicatedThread.Start($"hash {guest.Name}", () => Hash(still.Memory)).ConfigureAwait(false);
        return new HashGuestResponse { Sha256 = hash };
    }

    public override Task DumpGuest(DumpGuestRequest request, IServerStreamWriter<DumpChunk> responses, ServerCallContext context) =>
        responses.SendAllAsync(Dump(node.Guests.Find(request.Name)).ToAsyncEnumerable(), context);

    public override Task ReadConsole(ReadConsoleRequest request, IServerStreamWriter<ConsoleChunk> responses, ServerCallContext context) =>
        responses.SendAllAsync(
            ConsoleFeed.ReadAsync(
                node.Guests.Find(request.Name), request.Offset, request.Follow, TimeProvider.System, context.CancellationToken),
            context);

    public override Task<Migration> Migrate(MigrateRequest request, ServerCallContext context) => Task.Run(() =>
    {
        DestinationAddress.Check($"migrate guest '{request.Guest}'", request.To);
        return engines.Outgoing.Begin(node.Guests.Find(request.Guest), MigrationPlan.Of(request), shutdown).Snapshot();
    });

    public override Task<ListMigrationsResponse> ListMigrations(ListMigrationsRequest request, ServerCallContext context) =>
        Task.FromResult(new ListMigrationsResponse { Migrations = { node.Migrations.All().Select(record => record.Snapshot()) } });

    public override Task<Migration> GetMigration(GetMigrationRequest request, ServerCallContext context) => SnapshotOf(request.Id);

    public override Task WatchMigration(
        WatchMigrationRequest request, IServerStreamWriter<Migration> responses, ServerCallContext context) =>
        responses.SendAllAsync(WatchAsync(FindMigration(request.Id), context.CancellationToken), context);

    public override Task<Migration> StartPostcopy(StartPostcopyRequest request, ServerCallContext context)
    {
        engines.Outgoing.Find(request.Id, "start post-copy in").StartPostcopy();
        return SnapshotOf(request.Id);
    }

    public override Task<Migration> SetMigration(SetMigrationRequest request, ServerCallContext context)
    {
        engines.Outgoing.Find(request.Id, "change limits of").Set(request);
        return SnapshotOf(request.Id);
    }

    public override Task<Migration> CancelMigration(CancelMigrationRequest request, ServerCallContext context)
    {
        engines.Outgoing.Find(request.Id, "cancel").Cancel();
        return SnapshotOf(request.Id);
    }

    public override Task<Migration> RecoverMigration(RecoverMigrationRequest request, ServerCallContext context)
    {
        if (request.To.Length > 0)
        {
            DestinationAddress.Check($"recover migration {request.Id}", request.To);
        }

        engines.Outgoing.Find(request.Id, "recover").Recover(request.To);
        return SnapshotOf(request.Id);
    }

    public override async Task<Migration> ResolveMigration(ResolveMigrationRequest request, ServerCallContext context)
    {
        switch (request.Resolution)
        {
            case Resolution.ResumeHere:
                await engines.Outgoing.Find(request.Id, "resume here in").ResumeHereAsync(request.Force, context.CancellationToken)
                    .ConfigureAwait(false);
                break;
            case Resolution.GiveUp:
                DestinationSession session = engines.Incoming.FindMigration(request.Id) ?? throw new Refusal(
                    Because.NotFound,
                    $"no guest is on its way to this node in migration '{request.Id}'; see: migrationd migration list");
                session.GiveUp();
                break;
            default:
                throw new Refusal(Because.Invalid, $"resolve migration {request.Id}: say how, resume-here or give-up");
        }

        return FindMigration(request.Id).Snapshot();
    }

    public override Task Drain(DrainRequest request, IServerStreamWriter<DrainUpdate> responses, ServerCallContext context) =>
        responses.SendAllAsync(engines.Drains.RunAsync(request, context.CancellationToken), context);

    public override Task<Node> Undrain(UndrainRequest request, ServerCallContext context)
    {
        engines.Drains.Undrain();
        return Task.FromResult(Describe());
    }

    private Node Describe() => new(node.Self)
    {
        ManagedBytesAllocated = (ulong)GC.GetTotalAllocatedBytes(),
        Collections = (ulong)GC.CollectionCount(0),
        Drained = node.Guests.IsClosed,
    };

    private GuestMessage Create(CreateGuestRequest request)
    {
        GuestSpec spec = GuestMessages.FromMessage(request.Spec);
        HostedGuest guest = node.Guests.Create(spec);
        DaemonLog.GuestCreated(logger, spec.Name, spec.Kind.ToString(), spec.MemoryBytes, spec.Vcpus);
        return guest.Snapshot();
    }

    /// <summary>Runs a command on a thread of its own: it may wait for vCPUs, and they for pages.</summary>
    private async Task<GuestMessage> CommandAsync(string name, string command, Action<HostedGuest> act)
    {
        HostedGuest guest = node.Guests.Find(name);
        await DedicatedThread.Start($"{command} {name}", () => act(guest)).ConfigureAwait(false);
        return guest.Snapshot();
    }

    /// <summary>Reads on the pool's threads, which are those of calls: what is read is here, so that no read waits for a page.</summary>
    private static IEnumerable<DumpChunk> Dump(HostedGuest guest)
    {
        // The memory is held only while somebody listens, until the enumeration is disposed of.
        using StillMemory still = guest.HoldWhatIsHere("dump");
        foreach (DumpChunk chunk in GuestDump.Of(guest.Name, still))
        {
            yield return chunk;
        }
    }

    private static string Hash(GuestMemory memory)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] block = new byte[GuestPage.BlockSize];
        for (long offset = 0; offset < memory.Length; offset += block.Length)
        {
            memory.Read(offset, block);
            hash.AppendData(block);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private Task<Migration> SnapshotOf(string id) => Task.FromResult(FindMigration(id).Snapshot());

    private MigrationRecord FindMigration(string id) => node.Migrations.TryFind(id, out MigrationRecord? record)
        ? record
        : throw new Refusal(Because.NotFound, $"there is no migration '{id}' on this node; see: migrationd migration list");

    private static async IAsyncEnumerable<Migration> WatchAsync(
        MigrationRecord record, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        Migration? sent = null;
        long sentAt = 0;
        while (true)
        {
            Task changed = record.Changed;
            Migration snapshot = record.Snapshot();
            if (sent is null || Stopwatch.GetElapsedTime(sentAt) >= LongestSilence || Differs(snapshot, sent))
            {
                (sent, sentAt) = (snapshot, Stopwatch.GetTimestamp());
                yield return snapshot;
            }

            if (MigrationRecord.IsFinalState(snapshot.State))
            {
                yield break;
            }

            await Task.WhenAny(changed, Task.Delay(WatchInterval, cancellationToken)).ConfigureAwait(false);
            cancellationToken.ThrowIfCancellationRequested();
        }
    }

    /// <summary>Whether more than the time that has passed is different, and what is computed with it.</summary>
    private static bool Differs(Migration now, Migration before)
    {
        (ulong, double, double) passing = (now.TotalUs, now.BytesPerSecond, now.PagesPerSecond);
        (now.TotalUs, now.BytesPerSecond, now.PagesPerSecond) = (before.TotalUs, before.BytesPerSecond, before.PagesPerSecond);
        bool differs = !now.Equals(before);
        (now.TotalUs, now.BytesPerSecond, now.PagesPerSecond) = passing;
        return differs;
    }
}

/// <summary>The node that operators ask: who it is, how it is and what is on it.</summary>
internal sealed record OperatedNode(
    Node Self, NodeHealth Health, Func<GetConfigResponse> Config, GuestRegistry Guests, MigrationLog Migrations);

/// <summary>What moves guests from this node and to it.</summary>
internal sealed record NodeEngines(SourceMigrations Outgoing, DestinationSessions Incoming, Drains Drains);
