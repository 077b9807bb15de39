using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Security;
using MigrationD.Daemon.Source;
using MigrationD.Protocol.Refusals;
using GuestKind = MigrationD.Guest.GuestKind;
using GuestSpec = MigrationD.Guest.GuestSpec;
using WalkPattern = MigrationD.Guest.WalkPattern;

namespace MigrationD.Daemon.Hosting;

/// <summary>
/// Moves a small guest from this process to itself, before the first real one is moved: code that runs for the first time is compiled
/// first, and the milliseconds of that would be a guest's downtime.
/// </summary>
/// <remarks>Behind doors of its own: the guests, the sessions and the addresses of the daemon know nothing of it.</remarks>
internal static class Rehearsal
{
    private const long Memory = 4 << 20;
    private const long WorkingSet = 1 << 20;

    // The first time compiles; the second runs what the first could not reach, such as a lane that is already warm.
    private const int Times = 2;

    // Cold code takes its time, and nobody waits for it.
    private static readonly MigrationTimeouts Timeouts = new(TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(1));

    /// <summary>Rehearses with each kind of guest that can run here. Never throws: a daemon that is cold is only slower.</summary>
    public static async Task RunAsync()
    {
        foreach (GuestKind kind in Enum.GetValues<GuestKind>())
        {
            try
            {
                await RunAsync(kind).ConfigureAwait(false);
            }
            catch (Exception error) when (error is Refusal or IOException or UnauthorizedAccessException)
            {
                // The kind cannot run here. Whoever creates such a guest gets the reason; a rehearsal has nobody to tell.
            }
        }
    }

    private static async Task RunAsync(GuestKind kind)
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("migrationd-");
        try
        {
            // A socket that only this user reaches, so that nobody else can send a guest here.
            string control = Path.Combine(folder.FullName, "control");
            var here = new GuestRegistry(new MemoryBudget(Memory));
            var there = new GuestRegistry(new MemoryBudget(Memory));
            await using PeerDoor door = await PeerDoor.OpenAsync(
                kestrel => kestrel.ListenUnixSocket(control), new IPEndPoint(IPAddress.Loopback, 0), there,
                new MigrationLog(), Timeouts, new PeerLimits(Connections: 16, Incoming: 1), PeerSecurity.None, NullLoggerFactory.Instance)
                .ConfigureAwait(false);
            var node = new SourceNode("rehearsal", new MigrationLog(), Timeouts, PeerSecurity.None, new MigrationQueue(1), NullLogger.Instance);
            for (int time = 0; time < Times; time++)
            {
                HostedGuest guest = here.Create(new GuestSpec("rehearsal", kind, Memory, 1, WorkingSet, WalkPattern.Uniform));
                SourceMigration migration = SourceMigration.Begin(node, guest, MigrationPlan.Postcopy($"unix:{control}"), out _);
                await migration.RunAsync(CancellationToken.None).ConfigureAwait(false);
                await DeleteAsync(here).ConfigureAwait(false);
                await DeleteAsync(there).ConfigureAwait(false);
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static async Task DeleteAsync(GuestRegistry guests)
    {
        foreach (HostedGuest guest in guests.All())
        {
            await guests.DeleteAsync(guest.Name).ConfigureAwait(false);
        }
    }
}
