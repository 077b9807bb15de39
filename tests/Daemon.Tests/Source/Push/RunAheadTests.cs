using FsCheck;
using FsCheck.Fluent;
using MigrationD.Daemon.Source.Push;

namespace MigrationD.Daemon.Tests.Source.Push;

public sealed class RunAheadTests
{
    [Fact]
    public void A_walk_is_answered_with_twice_as_much_each_time_up_to_a_bound()
    {
        var ahead = new RunAhead();
        long page = 1000;
        foreach (int expected in new[] { 1, 2, 4, 8, 16, 32, 64, 64, 64 })
        {
            int answer = ahead.Answer(page);
            Assert.Equal(expected, answer);
            page += answer;
        }
    }

    [Fact]
    public void Requests_here_and_there_are_answered_with_what_was_asked_for()
    {
        var ahead = new RunAhead();
        Assert.All(new long[] { 5, 500, 7, 90_000, 3, 42 }, page => Assert.Equal(1, ahead.Answer(page)));
    }

    [Fact]
    public void Walks_of_four_vcpus_do_not_disturb_each_other()
    {
        var ahead = new RunAhead();
        long[] pages = [0, 10_000, 20_000, 30_000];
        foreach (int expected in new[] { 1, 2, 4, 8 })
        {
            for (int vcpu = 0; vcpu < pages.Length; vcpu++)
            {
                int answer = ahead.Answer(pages[vcpu]);
                Assert.Equal(expected, answer);
                pages[vcpu] += answer;
            }
        }
    }

    [Fact]
    public void An_answer_is_never_less_than_the_page_nor_more_than_the_bound() =>
        Prop.ForAll(Gen.Choose(0, 300).Select(page => (long)page).ListOf().ToArbitrary(), pages =>
        {
            var ahead = new RunAhead();
            Assert.All(pages, page => Assert.InRange(ahead.Answer(page), 1, RunAhead.MaxPages));
        }).QuickCheckThrowOnFailure();
}
