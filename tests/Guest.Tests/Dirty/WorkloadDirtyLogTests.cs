using MigrationD.Guest.Tests.Kinds;

namespace MigrationD.Guest.Tests.Dirty;

[Collection(GuestCollection.Name)]
public sealed class WorkloadDirtyLogTests
{
    public static TheoryData<WalkPattern, bool> PatternsAndHugePages => DirtyLogBattery.PatternsAndHugePages;

    [MachineTheory(Needs.Userfaultfd)]
    [MemberData(nameof(PatternsAndHugePages))]
    public void A_precopy_misses_nothing(WalkPattern pattern, bool hugePages) =>
        DirtyLogBattery.PrecopyMissesNothing(GuestKind.Workload, pattern, hugePages);

    [MachineFact(Needs.Userfaultfd)]
    public void The_guest_goes_on_from_the_copy() => DirtyLogBattery.TheGuestGoesOnFromTheCopy(GuestKind.Workload);

    [MachineFact(Needs.Userfaultfd)]
    public void Copying_before_harvesting_is_caught() => DirtyLogBattery.CopyingBeforeHarvestingIsCaught(GuestKind.Workload);

    [MachineFact(Needs.Userfaultfd)]
    public void Only_what_is_written_is_dirty() => DirtyLogBattery.OnlyWhatIsWrittenIsDirty(GuestKind.Workload);

    [MachineFact(Needs.Userfaultfd)]
    public void The_last_harvest_leaves_the_log_as_it_is() => DirtyLogBattery.TheLastHarvestLeavesTheLogAsItIs(GuestKind.Workload);

    [MachineFact(Needs.Userfaultfd)]
    public void It_can_be_armed_again() => DirtyLogBattery.ItCanBeArmedAgain(GuestKind.Workload);

    [MachineFact(Needs.Userfaultfd)]
    public void It_may_outlive_the_guest() => DirtyLogBattery.ItMayOutliveTheGuest(GuestKind.Workload);

    [MachineFact(Needs.Userfaultfd)]
    public void It_refuses_what_makes_no_sense() => DirtyLogBattery.ItRefusesWhatMakesNoSense(GuestKind.Workload);

    [MachineFact(Needs.Userfaultfd)]
    public void Harvests_on_the_heels_of_each_other_miss_nothing() =>
        DirtyLogBattery.HarvestsOnTheHeelsOfEachOtherMissNothing(GuestKind.Workload);

    [MachineFact(Needs.Userfaultfd)]
    public void It_may_be_used_by_many_threads() => DirtyLogBattery.ItMayBeUsedByManyThreads(GuestKind.Workload);
}
