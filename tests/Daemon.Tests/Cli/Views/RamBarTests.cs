using FsCheck;
using FsCheck.Fluent;
using MigrationD.Daemon.Cli.Views;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Cli.Views;

public sealed class RamBarTests
{
    [Fact]
    public void The_cells_fill_the_bar_and_every_part_that_is_there_is_seen()
    {
        var cases = from parts in Gen.Choose(0, 1_000_000).Or(Gen.Constant(0)).ListOf(5)
                    from width in Gen.Choose(1, 120)
                    select (Parts: parts.Select(part => (ulong)part).ToArray(), width);
        Prop.ForAll(cases.ToArbitrary(), one =>
        {
            var cells = RamBar.Cells(one.Parts, one.width);
            Assert.Equal(one.Parts.Length, cells.Count);
            Assert.Equal(one.Parts.Any(part => part > 0) ? one.width : 0, cells.Sum());
            Assert.All(one.Parts.Zip(cells), pair => Assert.True(pair.First > 0 ? pair.Second >= 0 : pair.Second == 0));
            if (one.Parts.Count(part => part > 0) <= one.width)
            {
                Assert.All(one.Parts.Zip(cells), pair => Assert.True(pair.First == 0 || pair.Second > 0));
            }
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void A_part_has_the_cells_that_it_is_of_all() => Assert.Equal([1, 49, 16, 0, 34], RamBar.Cells([3, 500, 150, 0, 347], 100));

    [Fact]
    public void The_parts_of_RAM_are_all_of_it()
    {
        var migration = Samples.Migration(MigrationState.PostcopyActive);
        migration.PagesTotal = 2000;
        migration.PagesReceived = 1200;
        Assert.Equal(
            [("urgent", 24UL), ("push", 900UL), ("zero", 100UL), ("resident", 176UL), ("missing", 800UL)],
            RamBar.Of(migration).Select(part => (part.Name, part.Pages)));

        // Counters are read one after the other, so they can be ahead of the number of pages.
        migration.PagesReceived = 1000;
        Assert.Equal(2000UL, (ulong)RamBar.Of(migration).Sum(part => (decimal)part.Pages));
        Assert.Equal(["missing"], RamBar.Of(new Migration { PagesTotal = 7 }).Where(part => part.Pages > 0).Select(part => part.Name));
    }
}
