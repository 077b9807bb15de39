using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using MigrationD.Daemon.Destination;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Hosting.Doors;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Security;
using MigrationD.Daemon.Source;
using MigrationD.Daemon.Source.Link;
using MigrationD.Daemon.Source.Queue;
using GuestKind = MigrationD.Guest.GuestKind;
using GuestSpec = MigrationD.Guest.GuestSpec;
using WalkPattern = MigrationD.Guest.WalkPattern;

namespace MigrationD.Daemon.Hosting;

/// <summary>
/// Moves a small guest from this process to itself, before the first real one is moved: what runs for the first time is slower, and those
/// milliseconds would be a guest's downtime. Code is compiled or, where it is native, read from its file; types are set up, and libraries
/// are looked for.
/// </summary>
/// <remarks>Behind doors of its own: the guests, the sessions and the addresses of the daemon know nothing of it.</remarks>
internal static class Rehearsal
{
    private const long Memory = 4 << 20;
    private const long WorkingSet = 1 << 20;

    // The first time does all that; the second runs what the first could not reach, such as a lane that is already warm.
    private const int Times = 2;

    // Cold code takes its time, and nobody waits for it.
    private static readonly MigrationTimeouts Timeouts = new(TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(1));

    /// <summary>Rehearses with each kind of guest that can run here. Never throws: a daemon that is cold is only slower.</summary>
    /// <param name="folder">Where a socket can be: the folder of the control socket. A container may have no other to write to.</param>
    /// <returns>How many kinds it was.</returns>
    public static async Task<int> RunAsync(string folder)
    {
        int rehearsed = 0;
        foreach (GuestKind kind in Enum.GetValues<GuestKind>())
        {
            try
            {
                await RunAsync(kind, Path.Combine(folder, $"r-{Path.GetRandomFileName()[..8]}")).ConfigureAwait(false);
                rehearsed++;
            }
#pragma warning disable CA1031 // A rehearsal that fails, for whatever reason, is one that did not take place.
            catch (Exception)
#pragma warning restore CA1031
            {
                // The kind cannot run here, or the path is too long for a socket, or there is no loopback. An operator who creates such a
                // guest gets the reason; a rehearsal has nobody to tell.
            }
        }

        return rehearsed;
    }

    private static async Task RunAsync(GuestKind kind, string path)
    {
        // A socket that only this user reaches, so that nobody else can send a guest here.
        DirectoryInfo folder = Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        try
        {
            string control = Path.Combine(folder.FullName, "s");
            var here = new GuestRegistry(new MemoryBudget(Memory));
            var there = new GuestRegistry(new MemoryBudget(Memory));
            var access = new PeerAccess(
                kestrel => kestrel.ListenUnixSocket(control), new IPEndPoint(IPAddress.Loopback, 0),
                new PeerLimits(Connections: 16, Incoming: 1), PeerSecurity.None);
            await using PeerDoor door = await PeerDoor.OpenAsync(
                access, new DestinationNode(there, new MigrationLog(), Timeouts), NullLoggerFactory.Instance).ConfigureAwait(false);
            var node = new SourceNode(
                "rehearsal", new MigrationLog(), Timeouts, PeerSecurity.None, new MigrationQueue(1),
                to => new DestinationClient(to, Timeouts, PeerSecurity.None, NullLogger.Instance, TimeProvider.System),
                NullLogger.Instance);
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
