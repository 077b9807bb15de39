using MigrationD.TestSupport;

namespace MigrationD.Daemon.Tests.Architecture;

/// <summary>The folders of src/ are rooms on floors: none uses another in a circle, and none uses one above it.</summary>
public sealed class HouseTests
{
    private static readonly string Tree = WorkingTree.Above(AppContext.BaseDirectory) ?? throw new InvalidOperationException(
        $"no folder above {AppContext.BaseDirectory} holds {WorkingTree.Mark}: the tests read the sources");

    private static readonly Lazy<House> OfThisTree = new(() => House.Of(SourceFiles()));

    private static readonly Lazy<Floors> Drawn = new(() => Floors.Read(File.ReadAllText(Path.Combine(Tree, "docs", "architecture.md"))));

    [Fact]
    public void No_room_is_in_a_circle() =>
        Assert.True(!OfThisTree.Value.Knots().Any(), string.Join(Environment.NewLine, OfThisTree.Value.Knots()));

    [Fact]
    public void The_document_has_every_room_and_no_other() =>
        Assert.Equal(OfThisTree.Value.Rooms.Order(StringComparer.Ordinal), Drawn.Value.Rooms.Order(StringComparer.Ordinal));

    [Fact]
    public void No_room_uses_one_above_it()
    {
        Arrow[] up = [.. OfThisTree.Value.Arrows.Where(arrow => !Drawn.Value.Permits(arrow))];
        Assert.True(up.Length == 0, $"not as docs/architecture.md has it: {string.Join(Environment.NewLine, up.Select(arrow => $"{arrow}"))}");
    }

    [Fact]
    public void A_namespace_is_a_folder() =>
        Assert.All(SourceFiles(), file =>
        {
            string folder = Path.GetDirectoryName(file.Path)!["src/".Length..].Replace('/', '.');
            if (Path.GetFileName(file.Path) is not ("Program.cs" or "Usings.cs"))
            {
                Assert.Contains($"\nnamespace MigrationD.{folder};\n", $"\n{file.Text}", StringComparison.Ordinal);
            }
        });

    [Fact]
    public void A_circle_is_found_with_the_files_that_make_it()
    {
        House house = House.Of(
        [
            ("src/A/One.cs", "using MigrationD.B; namespace MigrationD.A; class One { Two Made() => new(); }"),
            ("src/B/Two.cs", "using MigrationD.C; namespace MigrationD.B; class Two { public Three Third = new(); }"),
            ("src/C/Three.cs", "namespace MigrationD.C; class Three { const string Name = nameof(MigrationD.A.One); }"),
            ("src/D/Four.cs", "using MigrationD.B; namespace MigrationD.D; class Four { /* MigrationD.A.One */ object Made() => new Two().Third; }"),
        ]);

        Knot knot = Assert.Single(house.Knots());
        Assert.Equal(["MigrationD.A", "MigrationD.B", "MigrationD.C"], knot.Rooms);
        Assert.Equal(
            ["src/A/One.cs: Two", "src/B/Two.cs: Three", "src/C/Three.cs: One"], knot.Arrows.SelectMany(arrow => arrow.Uses));
        Assert.Contains("src/C/Three.cs: One", $"{knot}", StringComparison.Ordinal);
        // A member is a use of the type that has it, also where no using leads there.
        Assert.Contains(house.Arrows, arrow => (arrow.From, arrow.To) == ("MigrationD.D", "MigrationD.B"));
        Assert.DoesNotContain(house.Arrows, arrow => (arrow.From, arrow.To) == ("MigrationD.D", "MigrationD.A"));
    }

    [Fact]
    public void An_arrow_that_runs_up_is_not_permitted()
    {
        Floors floors = Floors.Read("### Floors\n\n| Rooms | |\n|---|---|\n| `Daemon/Cli`, `Daemon/Web` | above |\n| `Guest` | below |\n\n## Next\n");

        Assert.Equal(["MigrationD.Daemon.Cli", "MigrationD.Daemon.Web", "MigrationD.Guest"], floors.Rooms);
        Assert.True(floors.Permits(new Arrow("MigrationD.Daemon.Cli", "MigrationD.Guest", [])));
        Assert.True(floors.Permits(new Arrow("MigrationD.Daemon.Cli", "MigrationD.Daemon.Web", [])));
        Assert.False(floors.Permits(new Arrow("MigrationD.Guest", "MigrationD.Daemon.Web", [])));
    }

    private static IEnumerable<(string Path, string Text)> SourceFiles() =>
        Directory.EnumerateFiles(Path.Combine(Tree, "src"), "*.cs", SearchOption.AllDirectories)
            .Select(path => Path.GetRelativePath(Tree, path))
            .Where(path => !path.Split('/').Any(part => part is "bin" or "obj"))
            .Order(StringComparer.Ordinal)
            .Select(path => (path, File.ReadAllText(Path.Combine(Tree, path))));
}
