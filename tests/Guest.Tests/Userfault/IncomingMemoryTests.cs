using System.Runtime.InteropServices;

namespace MigrationD.Guest.Tests.Userfault;

public sealed unsafe partial class IncomingMemoryTests : IDisposable
{
    private const int SignalWindowChange = 28;

    private readonly GuestMemory _memory = GuestMemory.Map(4 * GuestPage.BlockSize);
    private readonly List<IDisposable> _owned = [];

    public void Dispose()
    {
        foreach (IDisposable owned in Enumerable.Reverse(_owned))
        {
            owned.Dispose();
        }

        _memory.Dispose();
    }

    [MachineFact(Needs.Userfaultfd)]
    public void Complete_refuses_while_a_page_is_missing_and_the_page_can_still_come()
    {
        IncomingMemory incoming = Register();
        using PagePlacer placer = incoming.CreatePlacer(8);
        _ = placer.PlaceZeros(0, 1000, PagePath.Push);
        _ = placer.PlaceZeros(1001, _memory.PageCount - 1001, PagePath.Push);

        var error = Assert.Throws<InvalidOperationException>(incoming.Complete);

        Assert.Contains($"1 of {_memory.PageCount} pages are missing, the first is page 1000", error.Message, StringComparison.Ordinal);
        Assert.False(incoming.IsCompleted);
        AssertIsMissing(1000);
        Assert.Equal(1, TestPages.Place(placer, 1000, 1));
        incoming.Complete();
        Assert.True(incoming.IsCompleted);
        TestPages.AssertContent(_memory, 1000, 1);
    }

    [MachineFact(Needs.Userfaultfd)]
    public void Complete_asks_the_kernel_and_not_the_bitmap_alone()
    {
        IncomingMemory incoming = Register();
        using PagePlacer placer = incoming.CreatePlacer(8);
        _ = placer.PlaceZeros(0, 77, PagePath.Push);
        _ = placer.PlaceZeros(78, _memory.PageCount - 78, PagePath.Push);
        Assert.Equal(1, incoming.Received.Mark(77, 1));

        var error = Assert.Throws<InvalidOperationException>(incoming.Complete);

        Assert.Contains("page 77 is marked as received and is not there", error.Message, StringComparison.Ordinal);
        AssertIsMissing(77);
    }

    [MachineTheory(Needs.Userfaultfd)]
    [InlineData(1)]
    [InlineData(300)]
    [InlineData(GuestPage.PerBlock)]
    public void Pages_that_the_kernel_placed_and_did_not_report_are_received_when_it_says_that_they_are_there(int run)
    {
        IncomingMemory incoming = Register();
        using PagePlacer placer = incoming.CreatePlacer(8);
        _ = placer.PlaceZeros(GuestPage.PerBlock, _memory.PageCount - GuestPage.PerBlock, PagePath.Push);
        for (long page = 0; page < GuestPage.PerBlock; page++)
        {
            TestPages.PlaceUnmarked(incoming, page);
        }

        for (long page = 0; page < GuestPage.PerBlock; page += run)
        {
            int count = (int)Math.Min(run, GuestPage.PerBlock - page);
            Assert.Equal(count, TestPages.Place(placer, page, count));
        }

        incoming.Complete();
        TestPages.AssertContent(_memory, 0, GuestPage.PerBlock);
        Assert.Equal(0, incoming.Counters.PagesRedundant.Value);
    }

    [MachineFact(Needs.Userfaultfd)]
    public void After_Complete_and_Dispose_the_memory_stays_and_may_have_huge_pages_again()
    {
        IncomingMemory incoming = Register();
        using (PagePlacer placer = incoming.CreatePlacer(8))
        {
            for (long block = 0; block < _memory.BlockCount; block++)
            {
                _ = TestPages.Place(placer, block * GuestPage.PerBlock, GuestPage.PerBlock);
            }
        }

        incoming.Complete();
        incoming.Complete();
        incoming.Dispose();
        incoming.Dispose();

        TestPages.AssertContent(_memory, 0, _memory.PageCount);
        Assert.Equal(_memory.BlockCount, incoming.Counters.Moves2M.Value);
        Assert.Contains(" hg", SmapsLine(_memory.Address, "VmFlags:"), StringComparison.Ordinal);
    }

    [MachineTheory(Needs.Userfaultfd)]
    [InlineData(false)]
    [InlineData(true)]
    public void Dispose_with_pages_missing_gives_readers_that_wait_an_error_and_no_zeros(bool stopFaultsFirst)
    {
        // Many times over: memory taken away too late would leave the readers a few microseconds in which there are zeros. And somebody
        // maps other memory all the while: addresses given back too early would let the readers find that.
        using var done = new CancellationTokenSource();
        var neighbour = new TestThread("neighbour", () =>
        {
            while (!done.IsCancellationRequested)
            {
                using GuestMemory other = GuestMemory.Map(4 * GuestPage.BlockSize);
                other.AllowHugeFaults(false);
                other.Write(42 << GuestPage.Shift, [1]);
            }
        });
        for (int round = 0; round < 50; round++)
        {
            using GuestMemory memory = GuestMemory.Map(4 * GuestPage.BlockSize);
            using IncomingMemory incoming = IncomingMemory.Register(memory, Placement.Move);
            TestThread[] readers = [.. new long[] { 42, 43, 600, 1100 }.Select(page => new TestThread($"reader of page {page}", () =>
            {
                // A system call reads the page, because it gets EFAULT where a load instruction would end this process.
                byte[] read = [.. Enumerable.Repeat((byte)0xA5, GuestPage.Size)];
                Assert.Equal((-1, Errno.EFAULT), ReadByTheKernel(memory, page, read));
                Assert.Equal(-1, read.AsSpan().IndexOfAnyExcept((byte)0xA5));
            }))];
            for (int waiting = 0; waiting < readers.Length;)
            {
                waiting += NextFaults(incoming).Count();
            }

            if (stopFaultsFirst)
            {
                incoming.StopFaults();
            }

            incoming.Dispose();

            Array.ForEach(readers, reader => reader.Join());
            Assert.Throws<InvalidOperationException>(() => memory.Read(0, new byte[1]));
        }

        done.Cancel();
        neighbour.Join();
    }

    [MachineFact(Needs.Userfaultfd)]
    public void Dispose_sends_the_fault_thread_away_first()
    {
        IncomingMemory incoming = Register();
        int returned = -1;
        var entered = new ManualResetEventSlim();
        var thread = new TestThread("fault thread", () =>
        {
            entered.Set();
            try
            {
                returned = incoming.WaitFaults(new PageFault[1]);
            }
            catch (ObjectDisposedException)
            {
                // Dispose came before the thread got there.
                returned = 0;
            }
        });
        Assert.True(entered.Wait(TestPages.Deadline));

        incoming.Dispose();

        thread.Join();
        Assert.Equal(0, returned);
    }

    [MachineFact(Needs.Userfaultfd)]
    public void StopFaults_ends_every_wait_from_then_on()
    {
        IncomingMemory incoming = Register();
        incoming.StopFaults();

        Assert.Equal(0, incoming.WaitFaults(new PageFault[4]));
        Assert.Equal(0, incoming.WaitFaults(new PageFault[4]));
    }

    [MachineFact(Needs.Userfaultfd)]
    public void A_fault_names_its_page_and_thread_and_is_open_until_the_page_is_placed()
    {
        IncomingMemory incoming = Register();
        using PagePlacer placer = incoming.CreatePlacer(8);
        uint readerId = 0;
        var reader = new TestThread("reader", () =>
        {
            Volatile.Write(ref readerId, (uint)GetThreadId());
            byte[] read = new byte[1];
            _memory.Read((1234L << GuestPage.Shift) + 77, read);
        });
        var faults = new PageFault[4];
        Assert.Equal(1, incoming.WaitFaults(faults));

        Assert.Equal(new PageFault(1234, Volatile.Read(ref readerId)), faults[0]);
        Assert.Equal([faults[0]], incoming.OpenFaults());
        Assert.Equal(1, incoming.Counters.FaultsOpen);

        Assert.Equal(1, TestPages.Place(placer, 1234, 1, PagePath.Urgent));
        reader.Join();

        Assert.Empty(incoming.OpenFaults());
        PlacementCounters counted = incoming.Counters;
        Assert.Equal((0, 1, 1), (counted.FaultsOpen, counted.FaultLatency.Count, counted.FaultsRequested.Value));
        Assert.True(counted.Blocktime > TimeSpan.Zero);
    }

    [MachineFact(Needs.Userfaultfd)]
    public void A_fault_that_a_signal_makes_the_kernel_repeat_is_asked_for_once()
    {
        // A signal with a handler takes the reader out of its wait; it touches the page again, and that is a second message.
        using PosixSignalRegistration handler = PosixSignalRegistration.Create((PosixSignal)SignalWindowChange, static _ => { });
        IncomingMemory incoming = Register();
        using PagePlacer placer = incoming.CreatePlacer(8);
        byte[] read = new byte[GuestPage.Size];
        var reader = new TestThread("reader", () => _memory.Read(9L << GuestPage.Shift, read));
        var faults = new PageFault[4];
        Assert.Equal(1, incoming.WaitFaults(faults));

        int more = -1;
        var faultThread = new TestThread("fault thread", () => more = incoming.WaitFaults(new PageFault[4]));
        Assert.Equal(0, SignalThread(Environment.ProcessId, (int)faults[0].ThreadId, SignalWindowChange));
        TestPages.AssertEventually(() => incoming.Counters.FaultsRepeated.Value > 0, "a second message for the page");
        Assert.Equal(1, TestPages.Place(placer, 9, 1, PagePath.Urgent));
        reader.Join();
        incoming.StopFaults();
        faultThread.Join();

        Assert.Equal(0, more);
        Assert.True(PageContent.IsWhole(9, read));
        PlacementCounters counted = incoming.Counters;
        Assert.Equal((1, 0, 1), (counted.FaultsRequested.Value, counted.FaultsOpen, counted.FaultLatency.Count));
    }

    [MachineFact(Needs.Userfaultfd)]
    public void A_wait_is_counted_for_the_vCPU_whose_thread_it_was()
    {
        IncomingMemory incoming = Register();
        using PagePlacer placer = incoming.CreatePlacer(8);
        int vcpu = 0;
        using var known = new ManualResetEventSlim();
        var reader = new TestThread("vcpu", () =>
        {
            Volatile.Write(ref vcpu, Libc.Gettid());
            Assert.True(known.Wait(TestPages.Deadline));
            TestPages.AssertContent(_memory, 9, 1);
        });
        TestPages.AssertEventually(() => Volatile.Read(ref vcpu) != 0, "the id of the thread");
        incoming.SetVcpus([vcpu]);
        known.Set();
        var faults = new PageFault[1];
        Assert.Equal(1, incoming.WaitFaults(faults));
        incoming.RecordRequest(faults[0].Page);
        Assert.Equal(1, TestPages.Place(placer, 9, 1, PagePath.Urgent));
        reader.Join();

        PlacementCounters counted = incoming.Counters;
        Assert.Equal([(1L, counted.Blocktime)], counted.Vcpus.Select(one => (one.Faults, one.Blocktime)));
        Assert.Equal((counted.Blocktime, 0L), (counted.AllVcpusBlocktime, counted.OtherThreads.Faults));
        Assert.Equal((1, 1, 1), (counted.FaultQueue.Count, counted.FaultNetwork.Count, counted.FaultPlace.Count));
        Assert.Equal(counted.FaultLatency.Max, counted.FaultQueue.Max + counted.FaultNetwork.Max + counted.FaultPlace.Max, 0.005);
    }

    [MachineFact(Needs.Userfaultfd)]
    public void A_fault_that_is_read_after_its_page_came_is_woken_and_not_asked_for()
    {
        // A page that comes without waking leaves the reader asleep and its message unread, as if the two had crossed.
        IncomingMemory incoming = Register();
        var reader = new TestThread("reader", () => TestPages.AssertContent(_memory, 9, 1));
        TestPages.AssertEventually(() => HasUnreadMessage(incoming), "the fault of the reader");
        TestPages.PlaceUnmarked(incoming, 9, wake: false);
        _ = incoming.MarkPlaced(9, 1, 0, new PlacementCounter());

        int faults = -1;
        var faultThread = new TestThread("fault thread", () => faults = incoming.WaitFaults(new PageFault[4]));
        reader.Join();
        incoming.StopFaults();
        faultThread.Join();

        Assert.Equal(0, faults);
        PlacementCounters counted = incoming.Counters;
        Assert.Equal(
            (1, 1, 0, 0),
            (counted.FaultMessages.Value, counted.PrefetchHits.Value, counted.FaultsRequested.Value, counted.FaultsOpen));
    }

    [MachineFact(Needs.Userfaultfd)]
    public void A_placer_that_finds_the_page_there_wakes_who_waits_for_it()
    {
        IncomingMemory incoming = Register();
        using PagePlacer placer = incoming.CreatePlacer(8);
        var reader = new TestThread("reader", () => TestPages.AssertContent(_memory, 9, 1));
        Assert.Equal([9L], NextFaults(incoming));
        TestPages.PlaceUnmarked(incoming, 9, wake: false);

        Assert.Equal(1, TestPages.Place(placer, 9, 1, PagePath.Urgent));

        reader.Join();
        Assert.Equal(1, incoming.Counters.PagesUrgent.Value);
    }

    [MachineFact(Needs.Userfaultfd)]
    public void Collapsing_a_block_with_a_hole_does_not_fill_the_hole()
    {
        IncomingMemory incoming = Register();
        using PagePlacer placer = incoming.CreatePlacer(8);
        Assert.Equal(300, TestPages.Place(placer, 0, 300));
        Assert.Equal(211, TestPages.Place(placer, 301, 211));
        _memory.AllowHugeFaults(true);

        int collapsed = Libc.Madvise(_memory.Address, GuestPage.BlockSize, Libc.MemoryAdvice.Collapse);

        Assert.Equal(-1, collapsed);
        AssertIsMissing(300);
        Assert.Equal(1, TestPages.Place(placer, 300, 1));
        TestPages.AssertContent(_memory, 0, 512);
    }

    [MachineFact(Needs.Userfaultfd)]
    public void A_block_that_somebody_waits_in_is_copied_so_that_no_huge_page_is_split()
    {
        IncomingMemory incoming = Register();
        using PagePlacer placer = incoming.CreatePlacer(8);
        var reader = new TestThread("reader", () => TestPages.AssertContent(_memory, 700, 1));
        Assert.Equal([700L], NextFaults(incoming));

        Assert.Equal(512, TestPages.Place(placer, 512, 512));
        Assert.Equal(512, TestPages.Place(placer, 1024, 512));

        reader.Join();
        PlacementCounters counted = incoming.Counters;
        Assert.Equal(
            (512, 1, 1, 0),
            (counted.Copies.Value, counted.BlockSplitsAvoided.Value, counted.Moves2M.Value, counted.Moves4K.Value));
        TestPages.AssertContent(_memory, 512, 1024);
    }

    [MachineFact(Needs.Userfaultfd)]
    public void A_pushed_block_wakes_readers_of_all_its_pages()
    {
        IncomingMemory incoming = Register();
        using PagePlacer placer = incoming.CreatePlacer(8);
        TestThread[] readers = [.. new long[] { 0, 255, 511 }.Select(page => new TestThread(
            $"reader of page {page}", () => TestPages.AssertContent(_memory, page, 1)))];
        var seen = new HashSet<long>();
        while (seen.Count < readers.Length)
        {
            seen.UnionWith(NextFaults(incoming));
        }

        Assert.Equal(512, TestPages.Place(placer, 0, 512));

        Array.ForEach(readers, reader => reader.Join());
        PlacementCounters counted = incoming.Counters;
        Assert.Equal((3, 0), (counted.FaultLatency.Count, counted.FaultsOpen));
        Assert.Equal((512, 0), (counted.PagesPush.Value, counted.PagesUrgent.Value));
    }

    [MachineTheory(Needs.Userfaultfd)]
    [InlineData(true)]
    [InlineData(false)]
    public void Register_refuses_memory_that_has_been_touched(bool byWriting)
    {
        if (byWriting)
        {
            _memory.Write(GuestPage.BlockSize + 5, [1]);
        }
        else
        {
            _memory.Read(GuestPage.BlockSize + 5, new byte[1]);
        }

        var error = Assert.Throws<InvalidOperationException>(() => IncomingMemory.Register(_memory, Placement.Move));

        Assert.Contains("touched", error.Message, StringComparison.Ordinal);
    }

    [MachineFact(Needs.Userfaultfd)]
    public void Register_says_what_the_kernel_refused()
    {
        IncomingMemory first = Register();

        var error = Assert.Throws<SystemCallException>(() => IncomingMemory.Register(_memory, Placement.Move));

        Assert.Equal(Errno.EBUSY, error.Error);
        Assert.Contains("UFFDIO_REGISTER", error.Message, StringComparison.Ordinal);
        Assert.Empty(first.OpenFaults());
    }

    [MachineFact(Needs.Userfaultfd)]
    public void Arguments_out_of_range_are_refused_before_anything_happens()
    {
        IncomingMemory incoming = Register();
        using PagePlacer placer = incoming.CreatePlacer(8);

        Assert.Throws<ArgumentException>(() => incoming.WaitFaults([]));
        Assert.Throws<ArgumentOutOfRangeException>(() => incoming.CreatePlacer(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => { _ = placer.Stage(-1, 1); });
        Assert.Throws<ArgumentOutOfRangeException>(() => { _ = placer.Stage(0, 0); });
        Assert.Throws<ArgumentOutOfRangeException>(() => { _ = placer.Stage(0, 513); });
        Assert.Throws<ArgumentOutOfRangeException>(() => { _ = placer.Stage(511, 2); });
        Assert.Throws<ArgumentOutOfRangeException>(() => { _ = placer.Stage(_memory.PageCount, 1); });
        Assert.Throws<ArgumentOutOfRangeException>(() => placer.PlaceZeros(0, _memory.PageCount + 1, PagePath.Push));
        Assert.Throws<ArgumentOutOfRangeException>(() => placer.PlaceZeros(1, _memory.PageCount, PagePath.Push));
        Assert.Throws<ArgumentOutOfRangeException>(() => placer.PlaceZeros(long.MaxValue, 1, PagePath.Push));
        Assert.Throws<InvalidOperationException>(() => placer.Place(0, 1, PagePath.Push));
        _ = placer.Stage(0, 2);
        Assert.Throws<InvalidOperationException>(() => placer.Place(0, 1, PagePath.Push));
        Assert.Throws<InvalidOperationException>(() => placer.Place(1, 2, PagePath.Push));
        Assert.Equal(0, incoming.Received.Count);
        Assert.Equal(0, incoming.Counters.Ioctls.Value);
    }

    [MachineFact(Needs.Userfaultfd)]
    public void Nothing_is_allocated_on_the_way_of_a_page()
    {
        // Room for some more rounds than two, of two blocks each.
        using GuestMemory memory = GuestMemory.Map(64 * GuestPage.BlockSize);
        using IncomingMemory incoming = IncomingMemory.Register(memory, Placement.Move);
        using PagePlacer placer = incoming.CreatePlacer(8);
        long page = 0;
        void PlaceOnEveryWay()
        {
            for (int i = 0; i < 200; i++, page++)
            {
                placer.Stage(page, 1).Fill(1);
                _ = placer.Place(page, 1, PagePath.Urgent);
                placer.Refill();
            }

            _ = placer.PlaceZeros(page, 10, PagePath.Push);
            page = (page + 511) / 512 * 512;
            placer.Stage(page, 512).Fill(2);
            _ = placer.Place(page, 512, PagePath.Push);
            placer.Refill();
            page += 512;
        }

        PlaceOnEveryWay();

        Assert.Equal(0, Allocations.Of(PlaceOnEveryWay));
    }

    private static string SmapsLine(nint address, string key) =>
        File.ReadLines("/proc/self/smaps")
            .SkipWhile(line => !line.StartsWith($"{address:x}-", StringComparison.Ordinal))
            .First(line => line.StartsWith(key, StringComparison.Ordinal));

    private static bool HasUnreadMessage(IncomingMemory incoming)
    {
        var polled = new Libc.PolledDescriptor
        {
            Descriptor = (int)incoming.Userfaultfd.Descriptor.DangerousGetHandle(),
            Wanted = Libc.PollEvents.In,
        };
        return Libc.Poll(&polled, 1, timeoutMilliseconds: 0) > 0;
    }

    private static IEnumerable<long> NextFaults(IncomingMemory incoming)
    {
        var faults = new PageFault[8];
        int count = 0;
        new TestThread("fault thread", () => count = incoming.WaitFaults(faults)).Join();
        return faults.Take(count).Select(fault => fault.Page);
    }

    /// <summary>/proc/self/mem answers EIO for a page that would fault, at once: the question without the wait.</summary>
    private void AssertIsMissing(long page)
    {
        using FileStream memory = File.OpenRead("/proc/self/mem");
        Assert.Throws<IOException>(() => RandomAccess.Read(memory.SafeFileHandle, new byte[1], _memory.AddressOf(page)));
    }

    private static (nint Returned, Errno Error) ReadByTheKernel(GuestMemory memory, long page, byte[] into)
    {
        fixed (byte* pointer = into)
        {
            var local = new IoVector { Base = (nint)pointer, Length = (nuint)into.Length };
            var remote = new IoVector { Base = memory.AddressOf(page), Length = (nuint)into.Length };
            nint returned = ProcessVmReadv(Environment.ProcessId, &local, 1, &remote, 1, 0);
            return (returned, SystemCallException.LastError);
        }
    }

    private IncomingMemory Register()
    {
        IncomingMemory incoming = IncomingMemory.Register(_memory, Placement.Move);
        _owned.Add(incoming);
        return incoming;
    }

    [LibraryImport("libc", EntryPoint = "process_vm_readv", SetLastError = true)]
    private static partial nint ProcessVmReadv(int process, IoVector* local, nuint locals, IoVector* remote, nuint remotes, nuint flags);

    [LibraryImport("libc", EntryPoint = "gettid")]
    private static partial int GetThreadId();

    [LibraryImport("libc", EntryPoint = "tgkill")]
    private static partial int SignalThread(int process, int thread, int signal);

    [StructLayout(LayoutKind.Sequential)]
    private struct IoVector
    {
        public nint Base;
        public nuint Length;
    }
}
