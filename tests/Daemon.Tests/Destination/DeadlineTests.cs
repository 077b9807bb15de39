using MigrationD.Daemon.Destination;
using MigrationD.Daemon.Migrations;
using MigrationD.Protocol.StateMachines;

namespace MigrationD.Daemon.Tests.Destination;

public sealed class DeadlineTests
{
    private static readonly Happened<DestinationEvent> First = new(DestinationEvent.AbortReceived, "first");
    private static readonly Happened<DestinationEvent> Second = new(DestinationEvent.SourceGone, "second");

    private readonly LateClock _clock = new();
    private readonly List<Happened<DestinationEvent>> _taken = [];
    private readonly Deadline _deadline;

    public DeadlineTests() => _deadline = new Deadline(_clock, new Lock(), _taken.Add);

    [Fact]
    public void What_was_to_happen_happens_once()
    {
        _deadline.Set(TimeSpan.FromSeconds(1), First);
        _clock.Timers[0]();
        _clock.Timers[0]();
        Assert.Equal([First], _taken);
    }

    [Fact]
    public void Timer_that_was_on_its_way_when_the_deadline_was_lifted_changes_nothing()
    {
        _deadline.Set(TimeSpan.FromSeconds(1), First);
        _deadline.Lift();
        _clock.Timers[0]();
        Assert.Empty(_taken);
    }

    [Fact]
    public void Timer_of_a_deadline_that_was_replaced_does_not_end_the_new_one()
    {
        _deadline.Set(TimeSpan.FromSeconds(1), First);
        _deadline.Set(TimeSpan.FromSeconds(1), Second);
        _clock.Timers[0]();
        Assert.Empty(_taken);
        _clock.Timers[1]();
        Assert.Equal([Second], _taken);
    }

    /// <summary>A clock whose timers end when a test says so, even those that were disposed of: as one does that is on its way by then.</summary>
    private sealed class LateClock : TimeProvider
    {
        public List<Action> Timers { get; } = [];

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            Timers.Add(() => callback(state));
            return new Spent();
        }

        private sealed class Spent : ITimer
        {
            public bool Change(TimeSpan dueTime, TimeSpan period) => false;

            public void Dispose()
            {
            }

            public ValueTask DisposeAsync() => ValueTask.CompletedTask;
        }
    }
}
