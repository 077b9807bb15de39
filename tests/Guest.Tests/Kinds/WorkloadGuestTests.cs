using MigrationD.Guest.Kinds;
using MigrationD.Guest.State;
using MigrationD.Guest.Tests.Kinds;

namespace MigrationD.Guest.Tests.Kinds;

[Collection(GuestCollection.Name)]
public sealed class WorkloadGuestTests
{
    public static TheoryData<WalkPattern, int> PatternsAndVcpus => GuestBattery.PatternsAndVcpus;

    public static TheoryData<string> Damages => [.. GuestBattery.Damages];

    [Theory]
    [MemberData(nameof(PatternsAndVcpus))]
    public void It_runs_without_corruption(WalkPattern pattern, int vcpus) =>
        GuestBattery.RunsWithoutCorruption(GuestKind.Workload, pattern, vcpus);

    [Fact]
    public void Pause_is_complete_and_resume_goes_on() => GuestBattery.PauseIsCompleteAndResumeGoesOn(GuestKind.Workload);

    [Fact]
    public void Many_pauses_lose_nothing() => GuestBattery.ManyPausesLoseNothing(GuestKind.Workload);

    [Theory]
    [InlineData(WalkPattern.Sequential, 1)]
    [InlineData(WalkPattern.Zipf, 4)]
    public void It_moves_within_the_process(WalkPattern pattern, int vcpus) =>
        GuestBattery.MovesWithinTheProcess(GuestKind.Workload, pattern, vcpus);

    [Fact]
    public void It_moves_to_another_process_and_back() => GuestBattery.MovesToAnotherProcessAndBack(GuestKind.Workload);

    [Theory]
    [MemberData(nameof(Damages))]
    public void It_finds_broken_pages(string damage) => GuestBattery.FindsBrokenPages(GuestKind.Workload, damage);

    [Fact]
    public void It_refuses_foreign_state() => GuestBattery.RefusesForeignState(GuestKind.Workload);

    [Fact]
    public void It_refuses_what_does_not_fit() => GuestBattery.RefusesWhatDoesNotFit(GuestKind.Workload);

    [Fact]
    public void It_refuses_other_devices() => GuestBattery.RefusesOtherDevices(GuestKind.Workload);

    [Fact]
    public void A_walker_outside_its_share_is_refused()
    {
        GuestSpec spec = Scenario.Spec(GuestKind.Workload);
        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        using IGuest guest = GuestFactory.Create(spec, memory);
        byte[] state = Scenario.Edit(guest.SaveState(), "walkers", WalkersState.Parser, walkers => walkers.Walkers[1].Cursor = 1 << 30);
        Assert.Contains("does not fit", Assert.Throws<GuestStateException>(() => guest.LoadState(state)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Its_gap_holds_downtime() => GuestBattery.GapHoldsDowntime(
        GuestKind.Workload,
        (state, away) => Scenario.Edit(
            state, "walkers", WalkersState.Parser, walkers => walkers.RealtimeUnixNs -= away.Ticks * TimeSpan.NanosecondsPerTick));

    [Fact]
    public void It_names_the_threads_of_its_vCPUs() => GuestBattery.NamesTheThreadsOfItsVcpus(GuestKind.Workload, "walker ");

    [Fact]
    public void Dispose_ends_its_threads() => GuestBattery.DisposeEndsThreadsAndDescriptors(GuestKind.Workload, "walker ");

    [MachineFact(Needs.Userfaultfd)]
    public void It_pauses_in_a_missing_page() => GuestBattery.PausesInAMissingPage(GuestKind.Workload);

    [MachineFact(Needs.Userfaultfd)]
    public void It_disposes_in_a_missing_page() => GuestBattery.DisposesInAMissingPage(GuestKind.Workload);
}
