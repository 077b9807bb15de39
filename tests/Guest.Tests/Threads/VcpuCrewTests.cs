using MigrationD.Guest.Tests.Kinds;
using MigrationD.Guest.Threads;

namespace MigrationD.Guest.Tests.Threads;

public sealed class VcpuCrewTests : IDisposable
{
    private readonly VcpuCrew _crew = new("g");
    private readonly List<Spinner> _vcpus = [];

    public void Dispose() => _crew.End(() => { });

    [Fact]
    public void All_run_after_a_resume_and_none_after_a_pause()
    {
        Add(3);
        Assert.False(_crew.IsRunning);
        for (int round = 0; round < 10; round++)
        {
            _crew.Resume();
            Assert.True(_crew.IsRunning);
            TestPages.AssertEventually(() => _vcpus.TrueForAll(vcpu => vcpu.Runs), "every vCPU runs");
            _crew.Pause();
            Assert.False(_crew.IsRunning);
            Assert.All(_vcpus, vcpu => Assert.False(vcpu.Runs));
        }

        Assert.All(_vcpus, vcpu => Assert.Equal(10, vcpu.Goes));
        Assert.Equal(3, _crew.ThreadIds.Distinct().Count());
    }

    [Fact]
    public void One_that_fails_stops_all_and_the_first_reason_stays()
    {
        Add(2);
        _crew.Resume();
        TestPages.AssertEventually(() => _vcpus.TrueForAll(vcpu => vcpu.Runs), "every vCPU runs");
        _crew.Fail("the first");
        _crew.Fail("the second");
        TestPages.AssertEventually(() => !_vcpus.Exists(vcpu => vcpu.Runs), "every vCPU stops");
        Assert.Equal("the first", _crew.Failure);
        Assert.False(_crew.IsRunning);

        _crew.Pause();
        _crew.Resume();
        Assert.All(_vcpus, vcpu => Assert.Equal(1, vcpu.Goes));
        Assert.Contains(
            "the first", Assert.Throws<InvalidOperationException>(() => Close(_crew.HoldToSave())).Message, StringComparison.Ordinal);
        Close(_crew.HoldToLoad());
    }

    [Fact]
    public void What_a_vCPU_throws_is_its_failure()
    {
        _crew.Add("vcpu 0", "vCPU 0", () => throw new InvalidOperationException("out of order"));
        _crew.Resume();
        TestPages.AssertEventually(() => _crew.Failure is not null, "the failure");
        Assert.Equal("vCPU 0 stopped: out of order", _crew.Failure);
    }

    [Fact]
    public void One_that_fails_before_the_last_is_let_go_stops_that_as_well()
    {
        _crew.Add("vcpu 0", "vCPU 0", () => { }, onGo: () => _crew.Fail("at once"));
        Add(1);
        _crew.Resume();
        TestPages.AssertEventually(() => !_vcpus[0].Runs, "the vCPU stops");
        Assert.False(_crew.IsRunning);
    }

    [Fact]
    public void State_is_of_vCPUs_that_stand_still()
    {
        Add(1);
        _crew.Resume();
        Assert.Throws<InvalidOperationException>(() => Close(_crew.HoldToSave()));
        Assert.Throws<InvalidOperationException>(() => Close(_crew.HoldToLoad()));
        _crew.Pause();
        Close(_crew.HoldToSave());
        Close(_crew.HoldToLoad());
        _crew.End(() => { });
        Assert.Throws<ObjectDisposedException>(() => Close(_crew.HoldToSave()));
        Assert.Throws<ObjectDisposedException>(() => Close(_crew.HoldToLoad()));
        Assert.Throws<ObjectDisposedException>(() => _crew.Resume());
    }

    [Fact]
    public void The_end_lets_go_once_after_the_threads_have_ended()
    {
        Add(2);
        _crew.Resume();
        int released = 0;
        _crew.End(() =>
        {
            released++;
            Assert.All(_vcpus, vcpu => Assert.False(vcpu.Runs));
        });
        _crew.End(() => released++);
        Assert.Equal(1, released);
        Assert.All(_crew.ThreadIds, id => Assert.Equal(0, id));
    }

    [Fact]
    public void The_end_gives_up_a_wait_for_memory()
    {
        using var waits = new ManualResetEventSlim();
        Task load = Task.Run(() =>
        {
            using Lock.Scope held = _crew.HoldToLoad();
            _crew.WaitForMemory(() =>
            {
                // As a copy that was kicked out of its wait.
                waits.Set();
                return false;
            });
        });
        Assert.True(waits.Wait(TestPages.Deadline));
        _crew.End(() => { });
        Assert.IsType<ObjectDisposedException>(Record.Exception(() => load.Wait(TestPages.Deadline))?.InnerException);
    }

    private static void Close(Lock.Scope scope) => scope.Dispose();

    private void Add(int count)
    {
        for (int i = 0; i < count; i++)
        {
            var vcpu = new Spinner();
            GuestThread thread = _crew.Add($"vcpu {i}", $"vCPU {i}", vcpu.Run, vcpu.OnGo, vcpu.OnStopRequested);
            vcpu.StopRequested = () => thread.StopRequested;
            _vcpus.Add(vcpu);
        }
    }

    /// <summary>Guest code that does nothing until it is told to stop.</summary>
    private sealed class Spinner
    {
        private volatile bool _runs;
        private volatile int _goes;
        private volatile bool _told;

        public Func<bool> StopRequested { get; set; } = () => true;

        public bool Runs => _runs;

        public int Goes => _goes;

        public void OnGo()
        {
            _told = false;
            _goes++;
        }

        public void OnStopRequested() => _told = true;

        public void Run()
        {
            _runs = true;
            SpinWait.SpinUntil(() => _told && StopRequested());
            _runs = false;
        }
    }
}
