using MigrationD.Daemon.Guests;
using MigrationD.Guest;
using MigrationD.Protocol.Refusals;
using Message = MigrationD.Protocol.V1.GuestSpec;

namespace MigrationD.Daemon.Tests.Guests;

public sealed class GuestMessagesTests
{
    private static readonly GuestSpec Spec = JournalSamples.Spec("g") with { Content = GuestContent.Counting };

    [Fact]
    public void A_specification_comes_back_as_it_was_sent() =>
        Assert.Equal(Spec, GuestMessages.FromMessage(GuestMessages.ToMessage(Spec)));

    [Fact]
    public void A_daemon_from_before_programs_says_and_understands_the_same()
    {
        Message message = GuestMessages.ToMessage(Spec);
        message.ClearProgram();
        Assert.Equal((ulong)Spec.WorkingSetBytes, message.WorkingSetBytes);
        Assert.Equal(Spec, GuestMessages.FromMessage(message));
    }

    [Fact]
    public void What_is_wrong_with_the_program_is_refused()
    {
        Message message = GuestMessages.ToMessage(Spec);
        message.Pulse.WorkingSetBytes = ulong.MaxValue;
        Refusal refusal = Assert.Throws<Refusal>(() => GuestMessages.FromMessage(message));
        Assert.Equal(Because.Invalid, refusal.Why);
        Assert.Contains("working set", refusal.Message, StringComparison.Ordinal);
    }
}
