using FsCheck;
using FsCheck.Fluent;
using MigrationD.Daemon.Draining;
using MigrationD.Guest;

namespace MigrationD.Daemon.Tests.Draining;

public sealed class DrainPlanTests
{
    private static readonly IReadOnlyDictionary<string, string> NoRefusals = new Dictionary<string, string>();

    /// <summary>Nodes to drain: guests that some peers have refused, and peers of all kinds, small numbers so that they meet.</summary>
    private static readonly Arbitrary<World> Worlds = (
        from peers in Peer().ArrayOf(4)
        from guests in Guest().ArrayOf()
        from places in Gen.Choose(0, 5)
        select new World(
            [.. guests.Select((guest, i) => guest with { Name = $"g{i}" })], [.. peers.Select((peer, i) => peer with { Address = $"p{i}" })],
            places))
        .ToArbitrary();

    [Fact]
    public void No_guest_goes_where_it_cannot_be_and_none_goes_twice() => Prop.ForAll(Worlds, world =>
    {
        IReadOnlyList<DrainMove> moves = Next(world);
        Assert.True(moves.Count <= world.Places);
        Assert.Equal(moves.Count, moves.Select(move => move.Guest.Name).Distinct().Count());
        foreach (IGrouping<string, DrainMove> there in moves.GroupBy(move => move.Peer.Address))
        {
            PeerOffer peer = world.Peers.Single(one => one.Address == there.Key);
            Assert.Null(peer.Problem);
            Assert.True(there.Sum(move => move.Guest.MemoryBytes) <= peer.FreeBytes);
            Assert.True(there.Count() <= peer.FreePlaces);
            Assert.All(there, move => Assert.Contains(move.Guest.Kind, peer.Kinds));
            Assert.All(there, move => Assert.DoesNotContain(peer.Address, move.Guest.Refusals.Keys));
        }
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void Each_goes_to_the_emptiest_peer_that_takes_it_and_no_larger_one_that_could_go_waits() => Prop.ForAll(Worlds, world =>
    {
        var offers = world.Peers.ToDictionary(peer => peer.Address);
        List<DrainCandidate> waiting = [.. world.Guests];
        foreach (DrainMove move in Next(world))
        {
            Assert.Equal(move.Peer, offers[move.Peer.Address]);
            Assert.DoesNotContain(offers.Values, peer => peer.FreeBytes > move.Peer.FreeBytes && Takes(peer, move.Guest));
            Assert.DoesNotContain(
                waiting, guest => guest.MemoryBytes > move.Guest.MemoryBytes && offers.Values.Any(peer => Takes(peer, guest)));
            waiting.Remove(move.Guest);
            offers[move.Peer.Address] = move.Peer.Less(move.Guest.MemoryBytes, 1);
        }
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void What_is_left_with_places_to_spare_fits_nowhere_and_each_peer_says_why() => Prop.ForAll(Worlds, world =>
    {
        IReadOnlyList<DrainMove> moves = Next(world);
        if (moves.Count == world.Places)
        {
            return;
        }

        PeerOffer[] left =
        [
            .. world.Peers.Select(peer => peer.Less(
                moves.Where(move => move.Peer.Address == peer.Address).Sum(move => move.Guest.MemoryBytes),
                moves.Count(move => move.Peer.Address == peer.Address))),
        ];
        foreach (DrainCandidate guest in world.Guests.Where(guest => moves.All(move => move.Guest != guest)))
        {
            Assert.Empty(DrainPlan.Next([guest], left, 1));
            string why = DrainPlan.WhyNot(guest, left);
            Assert.All(left, peer => Assert.Contains($"{peer.Address}: ", why, StringComparison.Ordinal));
            Assert.DoesNotContain("it has room", why, StringComparison.Ordinal);
            bool soon = left.Any(peer => Takes(peer with { FreePlaces = 1 }, guest));
            Assert.Equal(soon, DrainPlan.MayFitSoon(guest, left));
        }
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void A_whole_drain_ends_whatever_peers_refuse_and_only_what_was_refused_everywhere_or_fits_nowhere_stays()
    {
        var cases = from world in Worlds.Generator
                    from refuses in Gen.Elements(true, false).ArrayOf(64)
                    select (world, refuses);
        Prop.ForAll(cases.ToArbitrary(), one =>
        {
            (World world, bool[] refuses) = one;
            int attempts = 0;
            PeerOffer[] peers = [.. world.Peers];
            List<DrainCandidate> waiting = [.. world.Guests];
            while (DrainPlan.Next(waiting, peers, 1) is [var move])
            {
                waiting.Remove(move.Guest);
                int at = Array.IndexOf(peers, move.Peer);
                if (refuses[attempts % refuses.Length])
                {
                    var refusals = new Dictionary<string, string>(move.Guest.Refusals.ToDictionary()) { [move.Peer.Address] = "no" };
                    waiting.Add(move.Guest with { Refusals = refusals });
                }
                else
                {
                    peers[at] = move.Peer.Less(move.Guest.MemoryBytes, 0);
                }

                Assert.True(++attempts <= world.Guests.Count * peers.Length, "the same was tried twice");
            }

            Assert.All(waiting, guest => Assert.All(peers, peer => Assert.False(Takes(peer, guest))));
            Assert.All(peers.Zip(world.Peers), pair => Assert.True(pair.First.FreeBytes >= Math.Min(0, pair.Second.FreeBytes)));
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void The_largest_goes_first_to_the_peer_with_the_most_free_memory()
    {
        DrainCandidate[] guests = [Candidate("a", 1), Candidate("b", 3), Candidate("c", 2)];
        PeerOffer[] peers = [Free("near", 4), Free("far", 6)];
        Assert.Equal(
            ["b to far", "c to near", "a to far"],
            DrainPlan.Next(guests, peers, 9).Select(move => $"{move.Guest.Name} to {move.Peer.Address}"));
    }

    [Fact]
    public void A_guest_that_fits_nowhere_is_told_why_by_each_peer()
    {
        var refusals = new Dictionary<string, string> { ["refused"] = "the name is taken" };
        var guest = new DrainCandidate("a", GuestKind.Kvm, 64L << 20, refusals);
        PeerOffer[] peers =
        [
            Free("refused", 1L << 40),
            PeerOffer.Unusable("dead", "it does not answer"),
            Free("small", 32L << 20) with { Kinds = [GuestKind.Kvm] },
            Free("plain", 1L << 40) with { Kinds = [GuestKind.Workload] },
            Free("busy", 1L << 40) with { Kinds = [GuestKind.Kvm], FreePlaces = 0 },
        ];
        Assert.Equal(
            "refused: the name is taken; dead: it does not answer; small: it has 32.0 MiB free for guests, and this one has 64.0 MiB; "
            + "plain: it runs no guests of kind kvm; busy: as many guests are on their way there as may be",
            DrainPlan.WhyNot(guest, peers));
        Assert.True(DrainPlan.MayFitSoon(guest, peers));
        Assert.False(DrainPlan.MayFitSoon(guest, peers[..^1]));
        Assert.Equal("there is no peer but this node itself", DrainPlan.WhyNot(guest, []));
    }

    private static IReadOnlyList<DrainMove> Next(World world) => DrainPlan.Next(world.Guests, world.Peers, world.Places);

    /// <summary>The rule, said once more.</summary>
    private static bool Takes(PeerOffer peer, DrainCandidate guest) =>
        peer.Problem is null && peer.FreePlaces >= 1 && peer.FreeBytes >= guest.MemoryBytes && peer.Kinds.Contains(guest.Kind)
        && !guest.Refusals.ContainsKey(peer.Address);

    private static DrainCandidate Candidate(string name, long bytes) => new(name, GuestKind.Workload, bytes, NoRefusals);

    private static PeerOffer Free(string address, long bytes) => new(address, null, bytes, 16, [GuestKind.Workload, GuestKind.Kvm]);

    private static Gen<DrainCandidate> Guest() =>
        from bytes in Gen.Choose(1, 6)
        from kind in Gen.Elements(GuestKind.Workload, GuestKind.Kvm)
        from refusals in Gen.SubListOf("p0", "p1", "p2", "p3")
        from refusesAtAll in Gen.Choose(0, 3)
        select new DrainCandidate(
            "", kind, bytes, refusesAtAll == 0 ? refusals.ToDictionary(address => address, _ => "refused") : NoRefusals);

    private static Gen<PeerOffer> Peer() =>
        from bytes in Gen.Choose(-2, 12)
        from places in Gen.Choose(0, 3)
        from kinds in Gen.Elements<GuestKind[]>([GuestKind.Workload], [GuestKind.Workload, GuestKind.Kvm])
        from dead in Gen.Choose(0, 4)
        select dead == 0 ? PeerOffer.Unusable("", "dead") : new PeerOffer("", null, bytes, places, kinds);

    private sealed record World(IReadOnlyList<DrainCandidate> Guests, IReadOnlyList<PeerOffer> Peers, int Places);
}
