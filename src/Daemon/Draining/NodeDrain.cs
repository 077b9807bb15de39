using System.Runtime.CompilerServices;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Migrations;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Draining;

/// <summary>
/// Empties this node: looks at its guests, asks the peers, begins what <see cref="DrainPlan"/> says, and tells what has changed. It holds
/// nothing that another drain could not find out again: that is how one goes on where another was interrupted. <paramref name="begin"/>
/// gives null when nothing more may be begun; <paramref name="stopped"/> ends then, and says why.
/// </summary>
internal sealed class NodeDrain(
    GuestRegistry guests, MigrationLog migrations, IPeerSurvey survey, Func<HostedGuest, string, MigrationRecord?> begin, int parallel,
    Task<Refusal> stopped, TimeProvider time)
{
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan BetweenQuestions = TimeSpan.FromSeconds(1);

    // How long a guest waits that could go if only others were further, while nothing happens at all.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly SortedDictionary<string, DrainEntry> _entries = new(StringComparer.Ordinal);
    private readonly Dictionary<string, DrainGuest> _toldOfGuests = new(StringComparer.Ordinal);
    private readonly Dictionary<string, DrainPeer> _toldOfPeers = new(StringComparer.Ordinal);
    private IReadOnlyList<PeerAnswer> _answers = [];
    private Task<IReadOnlyList<PeerAnswer>>? _asking;
    private ILookup<string, long> _unaccounted = Array.Empty<long>().ToLookup(_ => "");
    private bool _askedInQuiet;
    private DateTime _askNotBefore;
    private long _lastProgress = time.GetTimestamp();

    /// <summary>Runs until every guest has moved, stayed or gone; the last update says so.</summary>
    /// <exception cref="Refusal">It was stopped.</exception>
    public async IAsyncEnumerable<DrainUpdate> RunAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        while (true)
        {
            Look();
            Plan(cancellationToken);
            bool ended = _entries.Values.All(entry => entry.IsFinal) && !guests.IsMaking;
            DrainUpdate update = WhatHasChanged(ended);
            if (ended || update.Guests.Count + update.Peers.Count > 0)
            {
                yield return update;
            }

            if (ended)
            {
                yield break;
            }

            await Task.WhenAny([
                Task.Delay(Tick, time, cancellationToken), stopped, .. _asking is null ? [] : new Task[] { _asking },
                .. _entries.Values.Where(entry => entry.State == DrainState.Moving).Select(entry => entry.Migration!.Changed),
            ]).ConfigureAwait(false);
            cancellationToken.ThrowIfCancellationRequested();
            if (stopped.IsCompleted)
            {
                throw await stopped.ConfigureAwait(false);
            }
        }
    }

    private void Look()
    {
        IReadOnlyList<HostedGuest> here = guests.All();
        bool progress = false;
        foreach (HostedGuest guest in here)
        {
            if (!_entries.TryGetValue(guest.Name, out DrainEntry? entry) || entry.Guest != guest)
            {
                _entries[guest.Name] = entry = new DrainEntry(guest);
            }

            progress |= !entry.IsFinal && entry.Look(migrations);
        }

        foreach (DrainEntry entry in _entries.Values.Where(entry => !entry.IsFinal && !here.Contains(entry.Guest)))
        {
            entry.EnterDeleted();
            progress = true;
        }

        if (progress)
        {
            _lastProgress = time.GetTimestamp();
            _askNotBefore = default;
        }
    }

    private void Plan(CancellationToken cancellationToken)
    {
        int underWay = _entries.Values.Count(entry => entry.IsUnderWay);
        if (_asking is { IsCompleted: true } asked)
        {
            _asking = null;
            _answers = asked.GetAwaiter().GetResult();
            Begin([.. _answers.Where(answer => !answer.IsSelf).Select(Offer)], underWay, cancellationToken);
        }

        bool wanted = _entries.Values.Any(entry => entry.CanBegin) && _entries.Values.Count(entry => entry.IsUnderWay) < parallel;
        if (wanted && _asking is null && time.GetUtcNow().UtcDateTime >= _askNotBefore)
        {
            // What is in setup now may or may not be in the answers: taken off, it is counted twice at worst, and never forgotten.
            _unaccounted = _entries.Values.Where(entry => entry.IsUnaccounted)
                .ToLookup(entry => entry.Peer, entry => entry.Guest.Spec.MemoryBytes);
            _askedInQuiet = !_entries.Values.Any(entry => entry.IsUnderWay);
            _askNotBefore = time.GetUtcNow().UtcDateTime + BetweenQuestions;
            _asking = survey.AskAsync(cancellationToken);
        }
    }

    private PeerOffer Offer(PeerAnswer answer) =>
        PeerSurvey.Offer(answer).Less(_unaccounted[answer.Address].Sum(), _unaccounted[answer.Address].Count());

    private void Begin(IReadOnlyList<PeerOffer> offers, int underWay, CancellationToken cancellationToken)
    {
        DateTime now = time.GetUtcNow().UtcDateTime;
        DrainEntry[] waiting = [.. _entries.Values.Where(entry => entry.CanBegin)];
        bool begun = false;
        foreach (DrainMove move in DrainPlan.Next(
            waiting.Where(entry => entry.NotNow(now) is null).Select(entry => entry.Candidate), offers, parallel - underWay))
        {
            begun |= !cancellationToken.IsCancellationRequested && TryBegin(_entries[move.Guest.Name], move.Peer.Address);
        }

        foreach (DrainEntry entry in waiting.Where(entry => entry.CanBegin))
        {
            DrainCandidate guest = entry.Candidate;
            string? notNow = entry.NotNow(now);
            string why = notNow ?? DrainPlan.WhyNot(guest, offers);
            bool maySoon = notNow is not null || DrainPlan.MayFitSoon(guest, offers);
            bool fits = DrainPlan.Next([guest], offers, 1).Count > 0;
            if (begun || underWay > 0 || !_askedInQuiet || (fits && notNow is null)
                || (maySoon && time.GetElapsedTime(_lastProgress) < Patience))
            {
                // As long as anything moves, something can fail, and leave room or another turn.
                entry.WaitFor(fits && notNow is null ? "" : why);
            }
            else
            {
                entry.Stay(why);
                _lastProgress = time.GetTimestamp();
            }
        }
    }

    private bool TryBegin(DrainEntry entry, string peer)
    {
        try
        {
            if (begin(entry.Guest, peer) is not { } record)
            {
                return false;
            }

            entry.EnterMoving(record);
            _lastProgress = time.GetTimestamp();
            return true;
        }
        catch (Refusal refusal) when (refusal.Why == Because.NotNow)
        {
            // An operator's command holds it, or has taken it away a moment ago: the next look tells.
            entry.Postpone(refusal.Message, time.GetUtcNow().UtcDateTime + BetweenQuestions);
            return false;
        }
    }

    private DrainUpdate WhatHasChanged(bool ended)
    {
        var update = new DrainUpdate { Ended = ended };
        foreach (DrainGuest guest in _entries.Values.Select(entry => entry.Snapshot()))
        {
            if (!guest.Equals(_toldOfGuests.GetValueOrDefault(guest.Name)))
            {
                _toldOfGuests[guest.Name] = guest;
                update.Guests.Add(guest);
            }
        }

        foreach (PeerAnswer answer in _answers.Where(answer => !answer.IsSelf))
        {
            var peer = new DrainPeer
            {
                Address = answer.Address,
                Name = answer.Capacity?.Node ?? "",
                FreeBytes = (ulong)Math.Max(0, PeerSurvey.Offer(answer).FreeBytes),
                Problem = answer.Problem ?? "",
            };
            if (!peer.Equals(_toldOfPeers.GetValueOrDefault(peer.Address)))
            {
                _toldOfPeers[peer.Address] = peer;
                update.Peers.Add(peer);
            }
        }

        return update;
    }
}
