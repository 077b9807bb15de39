using MigrationD.Guest.Devices;
using MigrationD.Guest.Kinds;
using MigrationD.Guest.Tests.Devices;
using MigrationD.Guest.Threads;

namespace MigrationD.Guest.Tests.Kinds;

/// <summary>In which order vCPUs and devices run, rest, are saved and loaded, and change hosts.</summary>
public sealed class RunControlTests : IDisposable
{
    private readonly List<string> _journal = [];
    private readonly VcpuCrew _crew = new("g");
    private readonly TestDevice _disk;
    private readonly RunControl _control;
    private volatile bool _runs;

    public RunControlTests()
    {
        _disk = new TestDevice("disk", _journal);
        _control = new RunControl("g", _crew, new DeviceSet([_disk]));
        GuestThread? thread = null;
        thread = _crew.Add(
            "vcpu 0",
            "vCPU 0",
            () =>
            {
                _runs = true;
                SpinWait.SpinUntil(() => thread!.StopRequested);
                _runs = false;
                _journal.Add("vCPU stopped");
            },
            onGo: () => _journal.Add("vCPU goes"));
    }

    public void Dispose() => _crew.End(() => { });

    [Fact]
    public void A_guest_goes_from_one_host_to_another_with_one_owner()
    {
        _control.Claim();
        RunForAMoment();
        byte[] state = _control.SaveState();
        _control.Release();
        Assert.Equal(
            ["disk claimed", "disk works", "vCPU goes", "vCPU stopped", "disk quiet", "disk saved", "disk released"], _journal);

        // It comes to another host.
        _journal.Clear();
        _control.LoadState(state, () => _journal.Add("its memory is here"));
        _control.Claim();
        RunForAMoment();
        Assert.Equal(
            [
                "disk checked", "its memory is here", "disk loaded", "disk claimed", "disk works", "vCPU goes", "vCPU stopped",
                "disk quiet",
            ],
            _journal);
    }

    [Fact]
    public void A_guest_that_goes_on_where_it_was_claims_again()
    {
        _control.Claim();
        _control.Release();
        _control.Resume();
        Assert.Equal(["disk claimed", "disk released", "disk claimed", "disk works", "vCPU goes"], _journal);
    }

    [Fact]
    public void What_cannot_be_had_is_a_failure_and_no_vCPU_runs()
    {
        _disk.Taken = true;
        _control.Resume();
        Assert.False(_crew.IsRunning);
        Assert.Contains("device 'disk': another host has the lock", _crew.Failure, StringComparison.Ordinal);
        Assert.DoesNotContain("vCPU goes", _journal);
        _control.Claim();
        _control.Pause();
    }

    [Fact]
    public void A_device_that_does_not_come_to_rest_refuses_the_pause_and_the_guest_can_go_on()
    {
        _control.Resume();
        _disk.Restless = true;
        Assert.Throws<IOException>(_control.Pause);
        Assert.False(_crew.IsRunning);
        _control.Resume();
        Assert.True(_crew.IsRunning);
        Assert.Equal("vCPU goes", _journal[^1]);
    }

    [Fact]
    public void Nothing_is_released_while_vCPUs_run()
    {
        _control.Resume();
        Assert.Throws<InvalidOperationException>(_control.Release);
        Assert.DoesNotContain("disk released", _journal);
    }

    private void RunForAMoment()
    {
        _control.Resume();
        TestPages.AssertEventually(() => _runs, "the vCPU runs");
        _control.Pause();
    }
}
