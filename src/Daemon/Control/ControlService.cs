using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging;
using MigrationD.Daemon.Destination;
using MigrationD.Daemon.Doctor;
using MigrationD.Daemon.Draining;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Source;
using MigrationD.Daemon.Threading;
using MigrationD.Guest.Memory;
using MigrationD.Protocol.Grpc;
using MigrationD.Protocol.V1;
using GuestMessage = MigrationD.Protocol.V1.Guest;
using GuestSpec = MigrationD.Guest.GuestSpec;

namespace MigrationD.Daemon.Control;

/// <summary>Answers operators: service Control of control.proto, on the local control socket.</summary>
internal sealed class ControlService(
    Node node, NodeHealth health, Func<GetConfigResponse> config, GuestRegistry guests, MigrationLog migrations, SourceMigrations outgoing,
    DestinationSessions incoming, Drains drains, ILogger logger, CancellationToken shutdown)
{
    private static readonly TimeSpan WatchInterval = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestSilence = TimeSpan.FromSeconds(1);

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapUnary(ControlMethods.GetNode, (_, _) => Task.FromResult(Describe()));
        routes.MapUnary(ControlMethods.GetConfig, (_, _) => Task.FromResult(config()));
        routes.MapUnary(ControlMethods.GetHealth, (_, context) => health.CheckAsync(context.CancellationToken));
        routes.MapUnary(ControlMethods.CreateGuest, (request, _) => Task.Run(() => Create(request)));
        routes.MapUnary(ControlMethods.ListGuests, (_, _) => Task.FromResult(List()));
        routes.MapUnary(ControlMethods.GetGuest, (request, _) => Task.FromResult(guests.Find(request.Name).Snapshot()));
        routes.MapUnary(ControlMethods.PauseGuest, (request, _) => On(request.Name, "pause", guest => guest.Pause()));
        routes.MapUnary(ControlMethods.ResumeGuest, (request, _) => On(request.Name, "resume", guest => guest.Resume()));
        routes.MapUnary(ControlMethods.DeleteGuest, (request, _) => DeleteAsync(request.Name));
        routes.MapUnary(ControlMethods.HashGuest, (request, _) => HashAsync(request.Name));
        routes.MapServerStreaming(ControlMethods.DumpGuest, (request, _) => DumpAsync(guests.Find(request.Name)));
        routes.MapServerStreaming(ControlMethods.ReadConsole, (request, context) => ConsoleFeed.ReadAsync(
            guests.Find(request.Name), (long)Math.Min(request.Offset, long.MaxValue / 2), request.Follow, context.CancellationToken));
        routes.MapUnary(ControlMethods.Migrate, (request, _) => Task.Run(() => Migrate(request)));
        routes.MapUnary(ControlMethods.StartPostcopy, (request, _) => Task.FromResult(StartPostcopy(request)));
        routes.MapUnary(ControlMethods.SetMigration, (request, _) => Task.FromResult(SetMigration(request)));
        routes.MapUnary(ControlMethods.CancelMigration, (request, _) => Task.FromResult(Cancel(request)));
        routes.MapUnary(ControlMethods.RecoverMigration, (request, _) => Task.FromResult(Recover(request)));
        routes.MapUnary(ControlMethods.ResolveMigration, (request, context) => ResolveAsync(request, context.CancellationToken));
        routes.MapUnary(ControlMethods.ListMigrations, (_, _) => Task.FromResult(ListMigrations()));
        routes.MapUnary(ControlMethods.GetMigration, (request, _) => Task.FromResult(FindMigration(request.Id).Snapshot()));
        routes.MapServerStreaming(
            ControlMethods.WatchMigration, (request, context) => WatchAsync(FindMigration(request.Id), context.CancellationToken));
        routes.MapServerStreaming(ControlMethods.Drain, (request, context) => drains.RunAsync(request, context.CancellationToken));
        routes.MapUnary(ControlMethods.Undrain, (_, _) =>
        {
            drains.Undrain();
            return Task.FromResult(Describe());
        });
    }

    private Node Describe() => new(node)
    {
        ManagedBytesAllocated = (ulong)GC.GetTotalAllocatedBytes(),
        Collections = (ulong)GC.CollectionCount(0),
        Drained = guests.IsClosed,
    };

    private GuestMessage Create(CreateGuestRequest request)
    {
        GuestSpec spec = GuestMessages.FromMessage(request.Spec);
        HostedGuest guest = guests.Create(spec);
        DaemonLog.GuestCreated(logger, spec.Name, spec.Kind.ToString(), spec.MemoryBytes, spec.Vcpus);
        return guest.Snapshot();
    }

    private ListGuestsResponse List() => new() { Guests = { guests.All().Select(guest => guest.Snapshot()) } };

    /// <summary>Runs a command on a thread of its own: it may wait for vCPUs, and they for pages.</summary>
    private async Task<GuestMessage> On(string name, string command, Action<HostedGuest> act)
    {
        HostedGuest guest = guests.Find(name);
        await DedicatedThread.Start($"{command} {name}", () => act(guest)).ConfigureAwait(false);
        return guest.Snapshot();
    }

    private async Task<DeleteGuestResponse> DeleteAsync(string name)
    {
        Task forgotten = await DedicatedThread.Start($"delete {name}", () => guests.DeleteAsync(name)).ConfigureAwait(false);
        await forgotten.ConfigureAwait(false);
        DaemonLog.GuestDeleted(logger, name);
        return new DeleteGuestResponse();
    }

    private async Task<HashGuestResponse> HashAsync(string name)
    {
        HostedGuest guest = guests.Find(name);
        using StillMemory still = guest.HoldWhole("hash");
        string hash = await DedicatedThread.Start($"hash {name}", () => Hash(still.Memory)).ConfigureAwait(false);
        return new HashGuestResponse { Sha256 = hash };
    }

    /// <summary>On the threads of the pool: what is read is here, so that no read waits for a page.</summary>
    private static async IAsyncEnumerable<DumpChunk> DumpAsync(HostedGuest guest)
    {
        // Off the thread that reads the connection; and held only while somebody listens, until the enumeration is disposed of.
        await Task.Yield();
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

    private Migration Migrate(MigrateRequest request)
    {
        DestinationAddress.Check($"migrate guest '{request.Guest}'", request.To);
        return outgoing.Begin(guests.Find(request.Guest), MigrationPlan.Of(request), shutdown).Snapshot();
    }

    private Migration StartPostcopy(StartPostcopyRequest request)
    {
        outgoing.Find(request.Id, "start post-copy in").StartPostcopy();
        return FindMigration(request.Id).Snapshot();
    }

    private Migration SetMigration(SetMigrationRequest request)
    {
        outgoing.Find(request.Id, "change limits of").Set(request);
        return FindMigration(request.Id).Snapshot();
    }

    private Migration Cancel(CancelMigrationRequest request)
    {
        outgoing.Find(request.Id, "cancel").Cancel();
        return FindMigration(request.Id).Snapshot();
    }

    private Migration Recover(RecoverMigrationRequest request)
    {
        if (request.To.Length > 0)
        {
            DestinationAddress.Check($"recover migration {request.Id}", request.To);
        }

        outgoing.Find(request.Id, "recover").Recover(request.To);
        return FindMigration(request.Id).Snapshot();
    }

    private async Task<Migration> ResolveAsync(ResolveMigrationRequest request, CancellationToken cancel)
    {
        switch (request.Resolution)
        {
            case Resolution.ResumeHere:
                await outgoing.Find(request.Id, "resume here in").ResumeHereAsync(request.Force, cancel).ConfigureAwait(false);
                break;
            case Resolution.GiveUp:
                DestinationSession session = incoming.FindMigration(request.Id) ?? throw new GrpcException(
                    GrpcStatusCode.NotFound,
                    $"no guest is on its way to this node in migration '{request.Id}'; see: migrationd migration list");
                session.GiveUp();
                break;
            default:
                throw new GrpcException(GrpcStatusCode.InvalidArgument, $"resolve migration {request.Id}: say how, resume-here or give-up");
        }

        return FindMigration(request.Id).Snapshot();
    }

    private ListMigrationsResponse ListMigrations() => new() { Migrations = { migrations.All().Select(record => record.Snapshot()) } };

    private MigrationRecord FindMigration(string id) => migrations.TryFind(id, out MigrationRecord? record)
        ? record
        : throw new GrpcException(GrpcStatusCode.NotFound, $"there is no migration '{id}' on this node; see: migrationd migration list");

    private static async IAsyncEnumerable<Migration> WatchAsync(
        MigrationRecord record, [EnumeratorCancellation] CancellationToken cancel)
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

            await Task.WhenAny(changed, Task.Delay(WatchInterval, cancel)).ConfigureAwait(false);
            cancel.ThrowIfCancellationRequested();
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
