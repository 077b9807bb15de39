using MigrationD.Guest.Dirty;
using MigrationD.Guest.Kinds;
using MigrationD.Guest.Programs.Pulse;
using MigrationD.Guest.Tests.Kinds;
using MigrationD.Guest.Tests.Programs.Pulse;

namespace MigrationD.Guest.Tests.Dirty;

/// <summary>What the dirty log of every kind of guest must do; each kind's tests call it, under its own needs.</summary>
internal static class DirtyLogBattery
{
    private const int Rounds = 6;
    private const int StepsPerRound = 500;

    public static TheoryData<WalkPattern, bool> PatternsAndHugePages
    {
        get
        {
            var data = new TheoryData<WalkPattern, bool>();
            foreach (WalkPattern pattern in Enum.GetValues<WalkPattern>())
            {
                data.Add(pattern, true);
                data.Add(pattern, false);
            }

            return data;
        }
    }

    /// <summary>The whole of a precopy, with a guest that never stops writing and a host that rewrites one page in each round.</summary>
    public static void PrecopyMissesNothing(
        GuestKind kind, WalkPattern pattern, bool hugePages, long memoryBytes = Subject.MemoryBytes)
    {
        using Subject subject = Subject.Running(kind, pattern, hugePages, memoryBytes: memoryBytes);
        using var precopy = new Precopy(subject.Guest);
        precopy.Begin();
        for (int round = 1; round <= Rounds; round++)
        {
            subject.Walk(StepsPerRound);
            subject.WriteSpare(round);
            long pages = precopy.Round();
            Assert.True(pages > 0, "the guest ran, and nothing was dirty");
            Assert.True(precopy.Dirty.Contains(subject.SparePage), "the page that the host wrote is not dirty");
        }

        subject.Walk(StepsPerRound);
        subject.WriteSpare(Rounds + 1);
        Assert.True(precopy.Finish() > 0, "the guest ran up to its pause, and nothing was dirty");

        Assert.Equal(Scenario.Hash(subject.Memory), Scenario.Hash(precopy.Copy));
        Assert.Equal(0, precopy.StalePages());
        Assert.Equal(0, PulseVerifier.CountCorruptPages(subject.Guest.Spec, precopy.Copy));
        Assert.Equal(0, subject.Guest.Report().CorruptPages);
    }

    /// <summary>What the copy is for: the guest goes on from it, checks every page, and finds each as it left it.</summary>
    public static void TheGuestGoesOnFromTheCopy(GuestKind kind)
    {
        using Subject subject = Subject.Running(kind, WalkPattern.Uniform, hugePages: true);
        using var precopy = new Precopy(subject.Guest);
        precopy.Begin();
        for (int round = 0; round < Rounds; round++)
        {
            precopy.Round();
        }

        precopy.Finish();
        byte[] state = subject.Guest.SaveState();
        using IGuest arrived = GuestFactory.Incoming(subject.Guest.Spec, precopy.Copy, subject.Guest.MachineProfile());
        arrived.LoadState(state);
        Scenario.RunOverEveryPage(arrived);
        arrived.Pause();
        Assert.Equal(0, arrived.Report().CorruptPages);
        Assert.Equal(0, PulseVerifier.CountCorruptPages(arrived.Spec, precopy.Copy));
    }

    /// <summary>
    /// Copying before harvesting loses what was written in between, and the comparison that these tests stand on sees it.
    /// </summary>
    public static void CopyingBeforeHarvestingIsCaught(GuestKind kind)
    {
        using Subject subject = Subject.Running(kind, WalkPattern.Uniform, hugePages: true);
        using var precopy = new Precopy(subject.Guest);
        precopy.Log.Arm();
        precopy.CopyEverything();
        subject.Walk(StepsPerRound);
        var thrownAway = new PageSet(subject.Memory.PageCount);
        precopy.Log.Harvest(thrownAway);
        precopy.Finish();

        Assert.True(precopy.StalePages() > 0, "pages were harvested after they had been copied, and none is stale");
        for (long page = 0; page < subject.Memory.PageCount; page++)
        {
            Assert.True(thrownAway.Contains(page) || precopy.IsFresh(page), $"page {page} is stale and was in no harvest");
        }
    }

    public static void OnlyWhatIsWrittenIsDirty(GuestKind kind)
    {
        using Subject subject = Subject.Paused(kind);
        using IDirtyLog log = subject.Guest.OpenDirtyLog();
        PageSet dirty = new(subject.Memory.PageCount);

        // Every page is there: one that is read for the first time later may count as written.
        _ = Scenario.Hash(subject.Memory);
        log.Arm();
        Assert.Equal(0, log.Harvest(dirty));

        subject.Memory.Write((subject.SparePage << GuestPage.Shift) + 4095, [1, 2]);
        Assert.Equal(2, log.HarvestLast(dirty));
        Assert.Equal(2, log.Harvest(dirty));
        AssertIs(dirty, subject.SparePage, 2);

        // Armed anew, for this page too, and a set keeps what it has.
        Assert.Equal(0, log.Harvest(dirty));
        subject.Memory.Write(subject.SparePage << GuestPage.Shift, [3]);
        Assert.Equal(1, log.Harvest(dirty));
        AssertIs(dirty, subject.SparePage, 2);

        // Reading is not writing.
        _ = Scenario.Hash(subject.Memory);
        dirty.Clear();
        Assert.Equal(0, log.Harvest(dirty));

        // The same for what the guest writes itself: harvested once, while it stands still.
        subject.Guest.Resume();
        subject.Walk(StepsPerRound);
        subject.Guest.Pause();
        long pages = log.HarvestLast(dirty);
        Assert.True(pages > 0, "the guest ran, and nothing was dirty");
        Assert.Equal(pages, log.Harvest(dirty));
        Assert.Equal(pages, dirty.Count());
        Assert.Equal(0, log.Harvest(dirty));
    }

    public static void TheLastHarvestLeavesTheLogAsItIs(GuestKind kind)
    {
        using Subject subject = Subject.Running(kind, WalkPattern.Sequential, hugePages: false);
        using var precopy = new Precopy(subject.Guest);
        precopy.Begin();
        subject.Walk(StepsPerRound);
        long last = precopy.Finish();
        var first = new PageSet(subject.Memory.PageCount);
        first.UnionWith(precopy.Dirty);
        Assert.Equal(last, first.Count());

        // The migration failed and the guest goes on: nothing of what it writes now may be lost, nor of what it wrote then.
        subject.Guest.Resume();
        subject.Walk(StepsPerRound);
        precopy.Round();
        first.ExceptWith(precopy.Dirty);
        Assert.Equal(0, first.Count());
        precopy.Finish();
        Assert.Equal(0, precopy.StalePages());
    }

    public static void ItCanBeArmedAgain(GuestKind kind)
    {
        using Subject subject = Subject.Running(kind, WalkPattern.Zipf, hugePages: true);
        for (int time = 0; time < 3; time++)
        {
            using var precopy = new Precopy(subject.Guest);
            Assert.False(precopy.Log.IsArmed);
            precopy.Begin();
            Assert.True(precopy.Log.IsArmed);
            subject.Walk(StepsPerRound);
            Assert.True(precopy.Round() > 0);
            precopy.Log.Disarm();
            Assert.False(precopy.Log.IsArmed);
            subject.Walk(StepsPerRound);

            precopy.Begin();
            subject.Walk(StepsPerRound);
            precopy.Log.Arm();
            precopy.Finish();
            Assert.Equal(0, precopy.StalePages());
            subject.Guest.Resume();
        }
    }

    /// <summary>A guest whose log is armed, and then goes away, harms nobody, in whatever order things are disposed.</summary>
    public static void ItMayOutliveTheGuest(GuestKind kind)
    {
        IDirtyLog log;
        var dirty = new PageSet(Subject.MemoryBytes / GuestPage.Size);
        using (Subject subject = Subject.Running(kind, WalkPattern.Uniform, hugePages: true))
        {
            log = subject.Guest.OpenDirtyLog();
            log.Arm();
            subject.Walk(StepsPerRound);
            subject.Guest.Dispose();
            Assert.Throws<ObjectDisposedException>(() => log.Harvest(dirty));
            Assert.Throws<ObjectDisposedException>(log.Arm);
            Assert.Throws<ObjectDisposedException>(log.Disarm);
            subject.WriteSpare(1);
        }

        log.Dispose();
        Assert.False(log.IsArmed);
    }

    public static void ItRefusesWhatMakesNoSense(GuestKind kind)
    {
        using Subject subject = Subject.Paused(kind);
        var dirty = new PageSet(subject.Memory.PageCount);
        IDirtyLog log = subject.Guest.OpenDirtyLog();
        Assert.Contains("arm", Assert.Throws<InvalidOperationException>(() => log.Harvest(dirty)).Message, StringComparison.Ordinal);
        Assert.Throws<InvalidOperationException>(() => log.HarvestLast(dirty));
        Assert.Throws<ArgumentException>(() => log.Harvest(new PageSet(1)));
        Assert.Contains("test", Assert.Throws<InvalidOperationException>(subject.Guest.OpenDirtyLog).Message, StringComparison.Ordinal);
        log.Disarm();
        log.Arm();
        log.Dispose();
        log.Dispose();
        using IDirtyLog another = subject.Guest.OpenDirtyLog();
        another.Arm();
        Assert.Equal(0, another.Harvest(dirty));
        subject.Guest.Dispose();
        Assert.Throws<ObjectDisposedException>(subject.Guest.OpenDirtyLog);
    }

    /// <summary>Harvests that follow each other without a pause, while all vCPUs write.</summary>
    public static void HarvestsOnTheHeelsOfEachOtherMissNothing(GuestKind kind)
    {
        using Subject subject = Subject.Running(kind, WalkPattern.Zipf, hugePages: true, vcpus: 4);
        using var precopy = new Precopy(subject.Guest);
        precopy.Begin();
        for (int round = 0; round < 200; round++)
        {
            precopy.Round();
        }

        precopy.Finish();
        Assert.Equal(0, precopy.StalePages());
        Assert.Equal(0, subject.Guest.Report().CorruptPages);
    }

    /// <summary>A harvest from one thread while another arms and disarms: every call ends, and the last word is right.</summary>
    public static void ItMayBeUsedByManyThreads(GuestKind kind)
    {
        using Subject subject = Subject.Running(kind, WalkPattern.Uniform, hugePages: true);
        using IDirtyLog log = subject.Guest.OpenDirtyLog();
        TestThread[] threads = [.. Enumerable.Range(0, 3).Select(number => new TestThread($"dirty {number}", () =>
        {
            var dirty = new PageSet(subject.Memory.PageCount);
            for (int i = 0; i < 30; i++)
            {
                log.Arm();
                try
                {
                    log.Harvest(dirty);
                }
                catch (InvalidOperationException)
                {
                    // Another thread has disarmed it in between.
                }

                log.Disarm();
            }
        }))];
        Array.ForEach(threads, thread => thread.Join());
        Assert.False(log.IsArmed);
        subject.Walk(StepsPerRound);
        Assert.Null(subject.Guest.Failure);
    }

    private static void AssertIs(PageSet set, long first, long count)
    {
        Assert.True(set.TryNextRun(0, out long foundFirst, out long foundCount));
        Assert.Equal((first, count), (foundFirst, foundCount));
        Assert.Equal(count, set.Count());
    }
}
