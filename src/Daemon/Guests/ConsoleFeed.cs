using System.Runtime.CompilerServices;
using Google.Protobuf;
using MigrationD.Guest;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Guests;

/// <summary>A guest's console as one stream of bytes, wherever the guest is: from here, and from the node that it was given to.</summary>
internal static class ConsoleFeed
{
    private const int ChunkBytes = 16 * 1024;

    // Looked at, not waited for: a vCPU that writes pays nothing for who reads, and nobody reads faster than this.
    private static readonly TimeSpan LookInterval = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan RedialInterval = TimeSpan.FromSeconds(1);

    /// <summary>Reads all that is kept from an offset on; with <paramref name="follow"/> until there can be no more.</summary>
    /// <exception cref="Refusal">
    /// NotNow: the guest has no serial port, or is not here yet, or is at a node that does not answer. NotFound: the node that
    /// it went to does not have it.
    /// </exception>
    public static async IAsyncEnumerable<ConsoleChunk> ReadAsync(
        HostedGuest guest, ulong start, bool follow, TimeProvider time, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        long offset = (long)Math.Min(start, long.MaxValue / 2);
        bool wasElsewhere = false;
        bool first = true;
        string announced = "";
        string noticed = "";
        while (true)
        {
            ConsolePlace place = guest.FindConsole();
            if (place.Ring is { } ring && !place.IsComing)
            {
                // What is behind the switchover is not for now: this node may be about to let the guest go on from there.
                long end = place.Elsewhere is null ? ring.Written : place.Switchover;
                if (place.Elsewhere is null)
                {
                    // Back as it was then: what it wrote elsewhere has never been.
                    offset = wasElsewhere ? Math.Min(offset, place.Switchover) : first ? Math.Min(offset, end) : offset;
                }

                wasElsewhere = place.Elsewhere is not null;
                first = false;
                while (offset < end)
                {
                    byte[] bytes = ring.Read(offset, ChunkBytes, out long from);
                    int length = (int)Math.Clamp(end - from, 0, bytes.Length);
                    if (length == 0)
                    {
                        break;
                    }

                    ByteString data = UnsafeByteOperations.UnsafeWrap(bytes.AsMemory(0, length));
                    yield return new ConsoleChunk { Offset = (ulong)from, Data = data };
                    offset = from + length;
                }
            }

            if (place.Elsewhere is not { } elsewhere)
            {
                if (place.Failure is { } failure)
                {
                    yield return new ConsoleChunk { Offset = (ulong)offset, Notice = failure };
                    yield break;
                }

                if (!follow && place.IsComing)
                {
                    throw new Refusal(
                        Because.NotNow,
                        $"console of guest '{guest.Name}': migration {place.MigrationId} is bringing it and it does not run here yet; read "
                        + "its console on the node that it comes from, or wait for it with --follow");
                }

                if (!follow)
                {
                    yield break;
                }

                await Task.Delay(LookInterval, time, cancellationToken).ConfigureAwait(false);
                continue;
            }

            if (announced != place.MigrationId)
            {
                announced = place.MigrationId;
                yield return new ConsoleChunk
                {
                    Offset = (ulong)offset,
                    Moved = new ConsoleMove { MigrationId = place.MigrationId, To = elsewhere.Address },
                };
            }

            using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, place.Returned);
            await using IAsyncEnumerator<ConsoleChunk> chunks =
                elsewhere.ReadConsoleAsync(offset, follow, stop.Token).GetAsyncEnumerator(stop.Token);
            (bool more, Refusal? error) = await NextAsync(chunks, place.Returned).ConfigureAwait(false);
            while (more)
            {
                // From here on a notice is news again.
                noticed = chunks.Current.Data.IsEmpty ? noticed : "";
                offset = (long)Math.Min(chunks.Current.Offset, long.MaxValue / 2) + chunks.Current.Data.Length;
                yield return chunks.Current;
                (more, error) = await NextAsync(chunks, place.Returned).ConfigureAwait(false);
            }

            if (place.Returned.IsCancellationRequested)
            {
                continue;
            }

            if (error is null)
            {
                yield break;
            }

            // As long as this node keeps the guest's pages the switchover may be taken back, and what the guest wrote before has been sent.
            if (place.Ring is null && (!follow || IsFinal(error.Why)))
            {
                // This daemon does answer: only that the guest is not known there means the same to who asks here.
                throw new Refusal(
                    error.Why == Because.NotFound ? error.Why : Because.NotNow,
                    $"guest '{guest.Name}' went to {elsewhere.Address} in migration {place.MigrationId}, and its console cannot be read "
                    + $"there: {error.Message}",
                    error);
            }

            string notice = $"the console at {elsewhere.Address} cannot be read: {error.Message}";
            if (notice != noticed)
            {
                noticed = notice;
                yield return new ConsoleChunk { Offset = (ulong)offset, Notice = notice };
            }

            if (!follow)
            {
                yield break;
            }

            await Task.Delay(RedialInterval, time, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Whether asking again would bring the same answer.</summary>
    private static bool IsFinal(Because why) => why is Because.NotFound or Because.NotNow or Because.Gone or Because.NotSupported
        or Because.Invalid or Because.Forbidden or Because.Untrusted;

    private static async ValueTask<(bool More, Refusal? Error)> NextAsync(
        IAsyncEnumerator<ConsoleChunk> chunks, CancellationToken returned)
    {
        try
        {
            return (await chunks.MoveNextAsync().ConfigureAwait(false), null);
        }
        catch (Refusal error)
        {
            return (false, error);
        }
        catch (OperationCanceledException) when (returned.IsCancellationRequested)
        {
            return (false, null);
        }
    }
}

/// <summary>Where a guest's console is to be read, at one moment.</summary>
/// <param name="Ring">What this node has of it; null when it has nothing.</param>
/// <param name="Switchover">How many bytes the guest had written when it was given away the last time.</param>
/// <param name="Elsewhere">Where it goes on; null when the guest is here, or is nowhere.</param>
/// <param name="MigrationId">The migration that holds the guest or took it away; empty when none.</param>
/// <param name="Failure">Why the guest will never write anything again; null when it may.</param>
/// <param name="IsComing">Whether the guest is on its way here, and not owned here yet.</param>
/// <param name="Returned">Fires when the guest is not elsewhere any more: it is back, or its record was deleted.</param>
internal readonly record struct ConsolePlace(
    ConsoleRing? Ring, long Switchover, IConsoleElsewhere? Elsewhere, string MigrationId, string? Failure, bool IsComing,
    CancellationToken Returned);

/// <summary>The console of a guest that went to another node, as this node reaches it.</summary>
internal interface IConsoleElsewhere
{
    /// <summary>HOST:PORT of the daemon that has the guest now.</summary>
    string Address { get; }

    /// <summary>Reads the guest's console from an offset on, over a connection of its own.</summary>
    IAsyncEnumerable<ConsoleChunk> ReadConsoleAsync(long offset, bool follow, CancellationToken cancellationToken);
}
