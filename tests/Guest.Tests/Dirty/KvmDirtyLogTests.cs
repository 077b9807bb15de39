using MigrationD.Guest.Dirty;
using MigrationD.Guest.Platform;
using MigrationD.Guest.Programs.Pulse;
using MigrationD.Guest.Tests.Kinds;

namespace MigrationD.Guest.Tests.Dirty;

[Collection(GuestCollection.Name)]
public sealed class KvmDirtyLogTests
{
    public static TheoryData<WalkPattern, bool> PatternsAndHugePages => DirtyLogBattery.PatternsAndHugePages;

    [MachineTheory(Needs.Kvm)]
    [MemberData(nameof(PatternsAndHugePages))]
    public void A_precopy_misses_nothing(WalkPattern pattern, bool hugePages) =>
        DirtyLogBattery.PrecopyMissesNothing(GuestKind.Kvm, pattern, hugePages);

    [MachineFact(Needs.Kvm)]
    public void The_guest_goes_on_from_the_copy() => DirtyLogBattery.TheGuestGoesOnFromTheCopy(GuestKind.Kvm);

    [MachineFact(Needs.Kvm)]
    public void Copying_before_harvesting_is_caught() => DirtyLogBattery.CopyingBeforeHarvestingIsCaught(GuestKind.Kvm);

    [MachineFact(Needs.Kvm)]
    public void Only_what_is_written_is_dirty() => DirtyLogBattery.OnlyWhatIsWrittenIsDirty(GuestKind.Kvm);

    [MachineFact(Needs.Kvm)]
    public void The_last_harvest_leaves_the_log_as_it_is() => DirtyLogBattery.TheLastHarvestLeavesTheLogAsItIs(GuestKind.Kvm);

    [MachineFact(Needs.Kvm)]
    public void It_can_be_armed_again() => DirtyLogBattery.ItCanBeArmedAgain(GuestKind.Kvm);

    [MachineFact(Needs.Kvm)]
    public void It_may_outlive_the_guest() => DirtyLogBattery.ItMayOutliveTheGuest(GuestKind.Kvm);

    [MachineFact(Needs.Kvm)]
    public void It_refuses_what_makes_no_sense() => DirtyLogBattery.ItRefusesWhatMakesNoSense(GuestKind.Kvm);

    [MachineFact(Needs.Kvm)]
    public void Harvests_on_the_heels_of_each_other_miss_nothing() =>
        DirtyLogBattery.HarvestsOnTheHeelsOfEachOtherMissNothing(GuestKind.Kvm);

    [MachineFact(Needs.Kvm)]
    public void It_may_be_used_by_many_threads() => DirtyLogBattery.ItMayBeUsedByManyThreads(GuestKind.Kvm);

    /// <summary>The log is cleared by pieces of 64 MiB; the tables lie in the first, the working set in the third.</summary>
    [MachineFact(Needs.Kvm)]
    public void A_precopy_of_memory_of_several_pieces_misses_nothing() =>
        DirtyLogBattery.PrecopyMissesNothing(GuestKind.Kvm, WalkPattern.Zipf, hugePages: true, memoryBytes: 160L << 20);

    [MachineFact(Needs.Kvm)]
    public void Memory_on_both_sides_of_the_hole_is_logged()
    {
        using Subject subject = Subject.Running(
            GuestKind.Kvm, WalkPattern.Uniform, hugePages: true, memoryBytes: AddressMap.HoleStart + (64L << 20));
        using IDirtyLog log = subject.Guest.OpenDirtyLog();
        var dirty = new PageSet(subject.Memory.PageCount);
        log.Arm();
        subject.WriteSpare(1);
        subject.Walk(500);
        subject.Guest.Pause();
        log.Harvest(dirty);
        var layout = new PulseLayout(subject.Guest.Spec);

        // The tables lie in the front, the working set behind the hole.
        Assert.True(dirty.Contains(subject.SparePage));
        Assert.True(dirty.CountIn(layout.VersionTableOffset >> GuestPage.Shift, layout.Pages * 8 / GuestPage.Size) > 0);
        Assert.True(dirty.CountIn(layout.WorkingSetOffset >> GuestPage.Shift, layout.Pages) > 100);
        long tablesEnd = layout.TablesEnd >> GuestPage.Shift;
        Assert.Equal(1, dirty.CountIn(tablesEnd, (layout.WorkingSetOffset >> GuestPage.Shift) - tablesEnd));
    }

    [MachineFact(Needs.Kvm)]
    public void The_hosts_huge_pages_stay_whole()
    {
        using Subject subject = Subject.Running(GuestKind.Kvm, WalkPattern.Sequential, hugePages: true);
        using IDirtyLog log = subject.Guest.OpenDirtyLog();
        using var scanner = new PageScanner(subject.Memory);
        bool[] before = HugeBlocks(scanner, subject.Memory);
        Assert.Contains(true, before);
        var dirty = new PageSet(subject.Memory.PageCount);
        log.Arm();
        for (int round = 0; round < 3; round++)
        {
            subject.Walk(2000);
            Assert.True(log.Harvest(dirty) > 0);
        }

        log.Disarm();
        // The kernel's own thread may have made more of them meanwhile.
        Assert.All(before.Zip(HugeBlocks(scanner, subject.Memory)), block => Assert.True(!block.First || block.Second));
    }

    private static bool[] HugeBlocks(PageScanner scanner, GuestMemory memory) =>
        [.. Enumerable.Range(0, (int)memory.BlockCount).Select(block => scanner.IsHuge(block))];
}
