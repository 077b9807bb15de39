using Google.Protobuf;
using MigrationD.Guest.Kinds;
using MigrationD.Guest.Programs.Pulse;
using MigrationD.Guest.State;
using MigrationD.Guest.Tests.Programs.Pulse;

namespace MigrationD.Guest.Tests.Kinds;

/// <summary>What every kind of guest must do; each kind's tests call it, under its own needs.</summary>
internal static class GuestBattery
{
    public static TheoryData<WalkPattern, int> PatternsAndVcpus
    {
        get
        {
            var data = new TheoryData<WalkPattern, int>();
            foreach (WalkPattern pattern in Enum.GetValues<WalkPattern>())
            {
                data.Add(pattern, 1);
                data.Add(pattern, 2);
                data.Add(pattern, 4);
            }

            return data;
        }
    }

    public static void RunsWithoutCorruption(GuestKind kind, WalkPattern pattern, int vcpus)
    {
        GuestSpec spec = Scenario.Spec(kind, pattern, vcpus, workingSetMiB: 2);
        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        using IGuest guest = GuestFactory.Create(spec, memory);
        Assert.False(guest.IsRunning);
        Scenario.RunOverEveryPage(guest);
        guest.Pause();

        GuestReport report = guest.Report();
        Assert.False(guest.IsRunning);
        Assert.Equal(0, report.CorruptPages);
        Assert.Equal(0, PulseVerifier.CountCorruptPages(spec, memory));
        Assert.True(report.Steps >= report.Sweeps * (spec.WorkingSetBytes / GuestPage.Size), report.ToString());
        Assert.True(report.LargestGap > TimeSpan.Zero, report.ToString());
    }

    public static void NamesTheThreadsOfItsVcpus(GuestKind kind, string threadName)
    {
        GuestSpec spec = Scenario.Spec(kind, WalkPattern.Uniform, vcpus: 4, workingSetMiB: 2);
        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        using IGuest guest = GuestFactory.Create(spec, memory);
        Assert.Equal(
            [$"{threadName}0", $"{threadName}1", $"{threadName}2", $"{threadName}3"],
            guest.VcpuThreads.Select(id => File.ReadAllText($"/proc/self/task/{id}/comm").Trim()));
    }

    public static void PauseIsCompleteAndResumeGoesOn(GuestKind kind)
    {
        GuestSpec spec = Scenario.Spec(kind, WalkPattern.Uniform);
        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        using IGuest guest = GuestFactory.Create(spec, memory);
        for (int round = 0; round < 10; round++)
        {
            long steps = guest.Report().Steps;
            guest.Resume();
            TestPages.AssertEventually(() => guest.Report().Steps > steps, "steps after a resume");
            guest.Pause();
            string first = Scenario.Hash(memory);
            GuestReport report = guest.Report();

            // No waiting in between: hashing takes far longer than a step.
            Assert.Equal(first, Scenario.Hash(memory));
            Assert.Equal(report, guest.Report());
            Assert.Equal(0, PulseVerifier.CountCorruptPages(spec, memory));
        }
    }

    /// <summary>Pause and resume without a pause for breath, from the first instruction on.</summary>
    public static void ManyPausesLoseNothing(GuestKind kind)
    {
        GuestSpec spec = Scenario.Spec(kind, WalkPattern.Zipf, vcpus: 4);
        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        using IGuest guest = GuestFactory.Create(spec, memory);
        for (int round = 0; round < 300; round++)
        {
            guest.Resume();
            guest.Pause();
        }

        Assert.Equal(0, PulseVerifier.CountCorruptPages(spec, memory));
        Scenario.RunOverEveryPage(guest);
        guest.Pause();
        Assert.Equal(0, guest.Report().CorruptPages);
    }

    public static void MovesWithinTheProcess(GuestKind kind, WalkPattern pattern, int vcpus)
    {
        GuestSpec spec = Scenario.Spec(kind, pattern, vcpus);
        GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        IGuest guest = GuestFactory.Create(spec, memory);
        try
        {
            for (int hop = 0; hop < 5; hop++)
            {
                // The first hops catch the guest while it fills its working set.
                guest.Resume();
                if (hop > 1)
                {
                    Scenario.RunOverEveryPage(guest);
                }

                guest.Pause();
                GuestReport before = guest.Report();
                GuestMemory copy = Scenario.CopyOf(memory);
                IGuest next = GuestFactory.Incoming(spec, copy, guest.MachineProfile());
                next.LoadState(guest.SaveState());
                guest.Dispose();
                memory.Dispose();
                (guest, memory) = (next, copy);

                Assert.Equal(before, guest.Report());
                Assert.Equal(0, PulseVerifier.CountCorruptPages(spec, memory));
            }

            Scenario.RunOverEveryPage(guest);
            guest.Pause();
            Assert.Equal(0, guest.Report().CorruptPages);
            Assert.Equal(0, PulseVerifier.CountCorruptPages(spec, memory));
        }
        finally
        {
            guest.Dispose();
            memory.Dispose();
        }
    }

    public static void MovesToAnotherProcessAndBack(GuestKind kind)
    {
        GuestSpec spec = Scenario.Spec(kind, WalkPattern.Zipf);
        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        using IGuest guest = GuestFactory.Create(spec, memory);
        Scenario.RunOverEveryPage(guest);
        guest.Pause();
        GuestReport before = guest.Report();

        using GuestMemory returned = GuestMemory.Map(spec.MemoryBytes);
        byte[] state = OtherProcess.RunThrough(guest, returned);
        using IGuest back = GuestFactory.Incoming(spec, returned, guest.MachineProfile());
        back.LoadState(state);
        GuestReport after = back.Report();
        Assert.True(after.Sweeps >= before.Sweeps + 2, $"{before} became {after}");
        Assert.True(after.Steps > before.Steps, $"{before} became {after}");
        Assert.Equal(0, after.CorruptPages);
        Assert.Equal(0, PulseVerifier.CountCorruptPages(spec, returned));
        Scenario.RunOverEveryPage(back);
        back.Pause();
        Assert.Equal(0, back.Report().CorruptPages);
        Assert.True(back.Report().Steps > after.Steps);
    }

    /// <summary>The guest itself finds what the host broke, counts each page once, and mends it.</summary>
    public static void FindsBrokenPages(GuestKind kind, string damage)
    {
        GuestSpec spec = Scenario.Spec(kind, WalkPattern.Sequential, vcpus: 1);
        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        using IGuest guest = GuestFactory.Create(spec, memory);
        var layout = new PulseLayout(spec);
        Scenario.RunOverEveryPage(guest);
        guest.Pause();
        using GuestMemory before = Scenario.CopyOf(memory);
        Scenario.RunOverEveryPage(guest);
        guest.Pause();

        long offset = layout.PageOffset(Scenario.IdlePage(guest, guest.SaveState()));
        byte[] old = new byte[GuestPage.Size];
        before.Read(offset, old);
        byte[] now = new byte[GuestPage.Size];
        memory.Read(offset, now);
        byte[] broken = Break(now, old, damage);
        Assert.NotEqual(now, broken);
        memory.Write(offset, broken);
        Assert.Equal(1, PulseVerifier.CountCorruptPages(spec, memory));
        Assert.Equal(0, guest.Report().CorruptPages);

        Scenario.RunOverEveryPage(guest);
        Scenario.RunOverEveryPage(guest);
        guest.Pause();
        Assert.Equal(1, guest.Report().CorruptPages);
        Assert.Equal(0, PulseVerifier.CountCorruptPages(spec, memory));
    }

    public static IEnumerable<string> Damages =>
        ["index", "version", "first content", "last content", "checksum", "zeros", "stale", "torn"];

    public static void RefusesForeignState(GuestKind kind)
    {
        GuestSpec spec = Scenario.Spec(kind);
        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        using IGuest guest = GuestFactory.Create(spec, memory);
        byte[] state = guest.SaveState();
        StateSection first = GuestDeviceState.Parser.ParseFrom(state).Sections[0];

        using GuestMemory copy = GuestMemory.Map(spec.MemoryBytes);
        using IGuest incoming = GuestFactory.Incoming(spec, copy, guest.MachineProfile());
        Refused("version 99", Scenario.Edit(state, s => s.Version = 99));
        Refused("'floppy'", Scenario.Edit(state, s => s.Sections.Add(new StateSection { Name = "floppy", Version = 1 })));
        Refused("'fl?ppy'", Scenario.Edit(state, s => s.Sections.Add(new StateSection { Name = "fl\nppy", Version = 1 })));
        Refused($"'{first.Name}'", Scenario.Edit(state, s => s.Sections[0].Version = 2));
        Refused($"lacks section '{first.Name}'", Scenario.Edit(state, s => s.Sections.RemoveAt(0)));
        Refused("twice", Scenario.Edit(state, s => s.Sections.Add(first)));
        Refused($"section '{first.Name}'", Scenario.Edit(state, s => s.Sections[0].Payload = ByteString.CopyFrom(0xFF, 0xFF)));
        Refused("cannot be read", state[..^1]);
        Refused("cannot be read", [0xFF, 0xFF, 0xFF]);
        Refused("version 0", []);

        // And after all that the right one is taken.
        incoming.LoadState(state);

        void Refused(string why, byte[] bad) =>
            Assert.Contains(why, Assert.Throws<GuestStateException>(() => incoming.LoadState(bad)).Message, StringComparison.Ordinal);
    }

    public static void RefusesWhatDoesNotFit(GuestKind kind)
    {
        GuestSpec spec = Scenario.Spec(kind, vcpus: 2);
        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        using IGuest guest = GuestFactory.Create(spec, memory);
        Assert.Throws<GuestStateException>(() => GuestFactory.Incoming(spec with { Vcpus = 1 }, memory, guest.MachineProfile()));
        Assert.Throws<GuestStateException>(() => GuestFactory.Incoming(spec, memory, new byte[] { 0xFF, 0xFF }));
        Assert.Throws<ArgumentException>(() => GuestFactory.Incoming(spec with { Vcpus = 9 }, memory, guest.MachineProfile()));
        Assert.Throws<ArgumentException>(() => GuestFactory.Create(spec with { MemoryBytes = spec.MemoryBytes * 2 }, memory));
        guest.Resume();
        Assert.Throws<InvalidOperationException>(() => guest.SaveState());
        Assert.Throws<InvalidOperationException>(() => guest.LoadState([]));
    }

    /// <summary>Before any state is sent; and a source that names no devices is believed until then.</summary>
    public static void RefusesOtherDevices(GuestKind kind)
    {
        GuestSpec spec = Scenario.Spec(kind, vcpus: 2);
        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        using IGuest guest = GuestFactory.Create(spec, memory);
        MachineProfile profile = MachineProfile.Parser.ParseFrom(guest.MachineProfile());
        Assert.Equal(
            GuestDeviceState.Parser.ParseFrom(guest.SaveState()).Sections.Select(section => (section.Name, section.Version)),
            profile.Devices.Select(device => (device.Name, device.Version)));

        using GuestMemory copy = GuestMemory.Map(spec.MemoryBytes);
        DeviceVersion first = profile.Devices[0];
        Refused("its device 'floppy' is unknown here", p => p.Devices.Add(new DeviceVersion { Name = "floppy", Version = 1 }));
        Refused($"its device '{first.Name}' has version 9, here it has version 1", p => p.Devices[0].Version = 9);
        Refused(
            $"it has no device '{first.Name}', which it would have here",
            p => p.Devices[0] = new DeviceVersion { Name = "other", Version = 1 });
        profile.Devices.Clear();
        using IGuest incoming = GuestFactory.Incoming(spec, copy, profile.ToByteArray());

        // What this host says of it is its own, whatever it was told.
        Assert.Equal(guest.MachineProfile(), incoming.MachineProfile());

        void Refused(string why, Action<MachineProfile> edit)
        {
            MachineProfile edited = profile.Clone();
            edit(edited);
            GuestStateException error =
                Assert.Throws<GuestStateException>(() => GuestFactory.Incoming(spec, copy, edited.ToByteArray()).Dispose());
            Assert.Contains(why, error.Message, StringComparison.Ordinal);
        }
    }

    /// <summary>The gap that the guest sees holds the time it was on its way.</summary>
    public static void GapHoldsDowntime(GuestKind kind, Func<byte[], TimeSpan, byte[]> sentEarlier)
    {
        GuestSpec spec = Scenario.Spec(kind, vcpus: 1);
        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        using IGuest guest = GuestFactory.Create(spec, memory);
        Scenario.RunOverEveryPage(guest);
        guest.Pause();
        TimeSpan away = TimeSpan.FromSeconds(1000);
        Assert.True(guest.Report().LargestGap < away);

        using GuestMemory copy = Scenario.CopyOf(memory);
        using IGuest next = GuestFactory.Incoming(spec, copy, guest.MachineProfile());
        next.LoadState(sentEarlier(guest.SaveState(), away));
        Scenario.RunOverEveryPage(next);
        next.Pause();
        Assert.InRange(next.Report().LargestGap, away - TimeSpan.FromMilliseconds(10), away + TestPages.Deadline);
        Assert.Equal(0, next.Report().CorruptPages);
    }

    public static void DisposeEndsThreadsAndDescriptors(GuestKind kind, string thread)
    {
        GuestSpec spec = Scenario.Spec(kind, vcpus: 4);

        // The first one opens what stays open for the process.
        CreateRunDispose();
        int descriptors = CountDescriptors();
        for (int i = 0; i < 10; i++)
        {
            CreateRunDispose();
        }

        TestPages.AssertEventually(() => CountThreads() == 0, $"no thread '{thread} N' is left");
        TestPages.AssertEventually(() => CountDescriptors() <= descriptors, $"{descriptors} descriptors, now {CountDescriptors()}");

        void CreateRunDispose()
        {
            using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
            using IGuest guest = GuestFactory.Create(spec, memory);
            guest.Resume();
            // A thread that has been joined is among the kernel's for a moment yet.
            TestPages.AssertEventually(() => CountThreads() == 4, $"four threads '{thread} N'");
        }

        // .NET names its threads through the kernel, and so do we find them.
        int CountThreads() =>
            Directory.GetDirectories("/proc/self/task").Count(task => NameOf(task).StartsWith(thread, StringComparison.Ordinal));
        static int CountDescriptors() => new DirectoryInfo("/proc/self/fd").GetFileSystemInfos().Count(IsOurs);
        static bool IsOurs(FileSystemInfo entry) => (entry.LinkTarget ?? "").Contains("kvm", StringComparison.Ordinal);
        static string NameOf(string task)
        {
            try
            {
                return File.ReadAllText(Path.Combine(task, "comm"));
            }
            catch (IOException)
            {
                return "";
            }
        }
    }

    /// <summary>
    /// Pages of the working set do not come. Pause returns nevertheless; the state saved meanwhile is whole; and the guest goes on when the
    /// pages are there.
    /// </summary>
    public static void PausesInAMissingPage(GuestKind kind)
    {
        GuestSpec spec = Scenario.Spec(kind, WalkPattern.Uniform);
        using GuestMemory source = GuestMemory.Map(spec.MemoryBytes);
        using IGuest guest = GuestFactory.Create(spec, source);
        Scenario.RunOverEveryPage(guest);
        guest.Pause();
        GuestReport before = guest.Report();

        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        using IncomingMemory incoming = IncomingMemory.Register(memory, Placement.Move);
        using IGuest next = GuestFactory.Incoming(spec, memory, guest.MachineProfile());
        using (var pager = new SourcePager(incoming, source, withheldFrom: new PulseLayout(spec).WorkingSetOffset >> GuestPage.Shift))
        {
            next.LoadState(guest.SaveState());
            next.Resume();
            TestPages.AssertEventually(() => pager.Withheld > 0, "a fault of a page that does not come");
            for (int round = 0; round < 20; round++)
            {
                next.Pause();
                next.Resume();
            }

            next.Pause();
            Assert.Null(next.Failure);
            Assert.Equal(0, next.Report().CorruptPages);

            // What was saved in the middle of a wait goes on elsewhere.
            using (GuestMemory merged = Scenario.CopyOf(source))
            using (IGuest third = GuestFactory.Incoming(spec, merged, next.MachineProfile()))
            {
                CopyReceived(incoming, merged);
                third.LoadState(next.SaveState());
                Scenario.RunOverEveryPage(third);
                third.Pause();
                Assert.Equal(0, third.Report().CorruptPages);
                Assert.Equal(0, PulseVerifier.CountCorruptPages(spec, merged));
            }

            // And here, when everything comes while it runs.
            next.Resume();
            pager.WithheldFrom = long.MaxValue;
            Push(incoming, source);
            Scenario.RunOverEveryPage(next);
        }

        next.Pause();
        incoming.Complete();
        Assert.True(next.Report().Steps > before.Steps);
        Assert.Equal(0, next.Report().CorruptPages);
        Assert.Equal(0, PulseVerifier.CountCorruptPages(spec, memory));
    }

    public static void DisposesInAMissingPage(GuestKind kind)
    {
        GuestSpec spec = Scenario.Spec(kind, WalkPattern.Uniform);
        using GuestMemory source = GuestMemory.Map(spec.MemoryBytes);
        using IGuest guest = GuestFactory.Create(spec, source);
        Scenario.RunOverEveryPage(guest);
        guest.Pause();

        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        using IncomingMemory incoming = IncomingMemory.Register(memory, Placement.Move);
        IGuest next = GuestFactory.Incoming(spec, memory, guest.MachineProfile());
        using var pager = new SourcePager(incoming, source, withheldFrom: new PulseLayout(spec).WorkingSetOffset >> GuestPage.Shift);
        next.LoadState(guest.SaveState());
        next.Resume();
        TestPages.AssertEventually(() => pager.Withheld > 0, "a fault of a page that does not come");
        Assert.True(Task.Run(next.Dispose).Wait(TestPages.Deadline), "Dispose did not end in time");
    }

    private static void CopyReceived(IncomingMemory incoming, GuestMemory into)
    {
        byte[] content = new byte[GuestPage.Size];
        for (long page = 0; page < incoming.Memory.PageCount; page++)
        {
            if (incoming.Received.IsReceived(page))
            {
                incoming.Memory.Read(page << GuestPage.Shift, content);
                into.Write(page << GuestPage.Shift, content);
            }
        }
    }

    private static void Push(IncomingMemory incoming, GuestMemory source)
    {
        using PagePlacer placer = incoming.CreatePlacer(64);
        for (long page = 0; page < source.PageCount; page++)
        {
            source.Read(page << GuestPage.Shift, placer.Stage(page, 1));
            _ = placer.Place(page, 1, PagePath.Push);
            placer.Refill();
        }
    }

    private static byte[] Break(byte[] now, byte[] old, string damage)
    {
        byte[] broken = [.. now];
        switch (damage)
        {
            case "index":
                broken[3] ^= 0x10;
                break;
            case "version":
                broken[8] ^= 1;
                break;
            case "first content":
                broken[16] ^= 0x80;
                break;
            case "last content":
                broken[GuestPage.Size - 9] ^= 1;
                break;
            case "checksum":
                broken[^1] ^= 1;
                break;
            case "zeros":
                Array.Clear(broken);
                break;
            case "stale":
                old.CopyTo(broken, 0);
                break;
            default:
                old.AsSpan(GuestPage.Size / 2).CopyTo(broken.AsSpan(GuestPage.Size / 2));
                break;
        }

        return broken;
    }
}
