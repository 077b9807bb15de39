using Google.Protobuf;
using MigrationD.Protocol.Messages;
using MigrationD.Protocol.V1;

namespace MigrationD.Protocol.Tests.Messages;

public sealed class GuestProgramsTests
{
    private static readonly Pulse Walk = new()
    {
        WorkingSetBytes = 8192, Pattern = WalkPattern.Zipf, Content = GuestContent.Counting,
    };

    [Fact]
    public void A_peer_from_before_programs_reads_what_the_guest_runs()
    {
        var spec = new GuestSpec();
        spec.RunPulse(Walk);
        spec.ClearProgram();
        Assert.Equal(
            new GuestSpec { WorkingSetBytes = 8192, Pattern = WalkPattern.Zipf, Content = GuestContent.Counting }, spec);
    }

    [Fact]
    public void What_a_peer_from_before_programs_says_is_read() => Assert.Equal(
        Walk,
        new GuestSpec { WorkingSetBytes = 8192, Pattern = WalkPattern.Zipf, Content = GuestContent.Counting }.ReadPulse());

    [Fact]
    public void The_program_is_believed_where_it_is_said()
    {
        var spec = new GuestSpec { Name = "g" };
        spec.RunPulse(Walk);
        spec.WorkingSetBytes = 4096;
        Assert.Equal(Walk, GuestSpec.Parser.ParseFrom(spec.ToByteArray()).ReadPulse());
    }
}
