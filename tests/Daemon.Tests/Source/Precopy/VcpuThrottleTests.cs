using MigrationD.Daemon.Source.Precopy;
using MigrationD.Guest;
using MigrationD.Guest.Kinds;
using MigrationD.Guest.Memory;

namespace MigrationD.Daemon.Tests.Source.Precopy;

public sealed class VcpuThrottleTests
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    [Theory]
    [InlineData(0, 0.0)]
    [InlineData(20, 2.5)]
    [InlineData(50, 10.0)]
    [InlineData(99, 990.0)]
    public void The_guest_stands_still_for_its_part_of_the_time(int percent, double milliseconds) =>
        Assert.Equal(milliseconds, VcpuThrottle.PauseFor(percent).TotalMilliseconds, tolerance: 0.01);

    [Fact]
    public async Task A_guest_is_paused_and_resumed_in_turn_and_runs_in_the_end()
    {
        using var memory = GuestMemory.Map(8 << 20);
        using var guest = GuestFactory.Create(new GuestSpec("g", GuestKind.Workload, 8 << 20, 1, 4 << 20, WalkPattern.Uniform), memory);
        guest.Resume();
        using (var throttle = new VcpuThrottle(guest))
        {
            throttle.Percent = 50;
            for (int turn = 0; turn < 3; turn++)
            {
                await UntilAsync(() => !guest.IsRunning);
                await UntilAsync(() => guest.IsRunning);
            }

            // Made to stand still for a second at a time, so that it is paused when the throttle ends.
            throttle.Percent = 99;
            await UntilAsync(() => !guest.IsRunning);
        }

        Assert.True(guest.IsRunning);
        ulong steps = (ulong)guest.Report().Steps;
        await UntilAsync(() => (ulong)guest.Report().Steps > steps);
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        using var deadline = new CancellationTokenSource(Deadline);
        while (!condition())
        {
            deadline.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }
}
