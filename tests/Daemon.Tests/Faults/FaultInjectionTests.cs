using MigrationD.Daemon.Faults;

namespace MigrationD.Daemon.Tests.Faults;

/// <summary>What the test switch for faults takes and what it refuses.</summary>
public sealed class FaultInjectionTests
{
    [Fact]
    public void Every_step_takes_every_action()
    {
        foreach (string step in FaultInjection.Steps)
        {
            foreach (string action in (string[])["kill", "stop", "throw", "wait", "delay:0", "delay:250"])
            {
                Assert.True(FaultInjection.TryParse($"{step}:{action}", out FaultInjection? fault));
                Assert.NotNull(fault);
            }
        }
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    public void Nothing_said_is_no_fault(string? text)
    {
        Assert.True(FaultInjection.TryParse(text, out FaultInjection? fault));
        Assert.Null(fault);
    }

    [Theory]
    [InlineData("source.run-before")]
    [InlineData("source.run-before:")]
    [InlineData("source.run-before:explode")]
    [InlineData("source.nowhere:kill")]
    [InlineData("run-before:kill")]
    [InlineData("source.stream:delay")]
    [InlineData("source.stream:delay:-1")]
    [InlineData("source.stream:delay:60001")]
    [InlineData("source.stream:kill:1")]
    [InlineData("source.stream:wait:1")]
    public void Anything_else_is_refused(string text) => Assert.False(FaultInjection.TryParse(text, out _));
}
