using MigrationD.Daemon.Cli.Demo;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Cli.Demo;

public sealed class DemoVerdictTests
{
    internal static DemoEvidence Good() => new()
    {
        Spec = Samples.Spec(),
        Before = new GuestReport { Steps = 1000, Sweeps = 1 },
        Arrived = new GuestReport { Steps = 1500, Sweeps = 2 },
        AtDestination = new Protocol.V1.Guest
        {
            Spec = Samples.Spec(),
            State = GuestState.Running,
            Report = new GuestReport { Steps = 9000, Sweeps = 4, LargestGapUs = 9000 },
        },
        AtSource = new Protocol.V1.Guest { Spec = Samples.Spec(), State = GuestState.Migrated },
        Migration = Samples.Migration(),
    };

    [Fact]
    public void A_good_migration_is_ok() => Assert.Empty(DemoVerdict.Problems(Good()));

    private static readonly Dictionary<string, (string Expected, Action<DemoEvidence> Damage)> Breakages = new()
    {
        ["corrupt page"] = ("corrupt", evidence => evidence.AtDestination!.Report.CorruptPages = 1),
        ["failed migration"] = ("failed", evidence => evidence.Migration!.State = MigrationState.Failed),
        ["still on the source"] = ("not migrated", evidence => evidence.AtSource!.State = GuestState.Running),
        ["paused on arrival"] = ("not running", evidence => evidence.AtDestination!.State = GuestState.Paused),
        ["stands still"] = ("no step", evidence => evidence.AtDestination!.Report.Steps = 1500),
        ["one sweep only"] = ("gone over all", evidence => evidence.AtDestination!.Report.Sweeps = 3),
        ["page counted twice"] = ("accounted for", evidence => evidence.Migration!.Placement.PagesUrgent++),
        ["page not counted"] = ("accounted for", evidence => evidence.Migration!.Placement.PagesZero--),
        ["no counters"] = ("accounted for", evidence => evidence.Migration!.Placement = null),
        ["another total"] = ("the guest has", evidence => evidence.Migration!.PagesTotal = 1023),
    };

    public static TheoryData<string> BreakageNames() => [.. Breakages.Keys];

    [Theory]
    [MemberData(nameof(BreakageNames))]
    public void Anything_wrong_is_a_problem_of_its_own(string name)
    {
        var evidence = Good();
        var (expected, damage) = Breakages[name];
        damage(evidence);
        Assert.Contains(DemoVerdict.Problems(evidence), problem => problem.Contains(expected, StringComparison.Ordinal));
    }

    [Fact]
    public void Whatever_it_has_not_seen_is_not_ok()
    {
        Assert.NotEmpty(DemoVerdict.Problems(Good() with { Before = null }));
        Assert.NotEmpty(DemoVerdict.Problems(Good() with { Arrived = null }));
        Assert.NotEmpty(DemoVerdict.Problems(Good() with { Migration = null }));
        Assert.NotEmpty(DemoVerdict.Problems(Good() with { AtSource = null }));
        Assert.NotEmpty(DemoVerdict.Problems(Good() with { AtDestination = null }));
        Assert.Equal(["it broke"], DemoVerdict.Problems(Good() with { Failure = "it broke" }));
    }
}
