using MigrationD.Daemon.Guests;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Guests;

/// <summary>What only one host may have: the source releases it before Run, and whoever has the guest then claims it.</summary>
public sealed class OneOwnerTests : IDisposable
{
    private readonly ScriptedGuest _guest = new();
    private readonly MemoryStream _share = new();

    public void Dispose() => _guest.Memory.Dispose();

    [Fact]
    public void Guest_that_is_given_away_is_released()
    {
        Leaving().GiveAway(new Elsewhere());
        Assert.Equal(["release"], _guest.Calls);
    }

    [Fact]
    public void Guest_that_comes_back_is_claimed_again()
    {
        HostedGuest hosted = Leaving();
        hosted.GiveAway(new Elsewhere());
        hosted.Return();
        hosted.Resume();
        Assert.Equal(["release", "claim", "resume"], _guest.Calls);
    }

    [Theory]
    [InlineData(true, "claim resume")]
    [InlineData(false, "claim")]
    public void Guest_that_arrives_is_claimed_before_it_runs(bool run, string calls)
    {
        HostedGuest hosted = HostedGuest.Coming(_guest, _share, GuestJournal.None, "0123456789ab", "source");
        hosted.Expect(null);
        Assert.Empty(_guest.Calls);
        hosted.Arrive(run);
        Assert.Equal(calls.Split(' '), _guest.Calls);
    }

    private HostedGuest Leaving()
    {
        HostedGuest hosted = HostedGuest.Created(_guest, _share, GuestJournal.None);
        hosted.TakeForMigration("0123456789ab", "there:1", out _);
        return hosted;
    }

    private sealed class Elsewhere : IConsoleElsewhere
    {
        public string Address => "there:1";

        public IAsyncEnumerable<ConsoleChunk> ReadConsoleAsync(long offset, bool follow, CancellationToken cancel) =>
            throw new NotSupportedException("nobody reads this console");
    }
}
