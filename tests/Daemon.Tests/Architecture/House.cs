using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace MigrationD.Daemon.Tests.Architecture;

/// <summary>
/// Which room of <c>src/</c> uses which, as the compiler sees it: by every name in the code, whether a <c>using</c> leads to it or not. What
/// only comments name is no use.
/// </summary>
internal sealed class House
{
    private const string Root = "MigrationD";

    // Projects are compiled with these (ImplicitUsings of Microsoft.NET.Sdk), which stand in no file of src/.
    private const string ImplicitUsings =
        """
        global using System;
        global using System.Collections.Generic;
        global using System.IO;
        global using System.Linq;
        global using System.Net.Http;
        global using System.Threading;
        global using System.Threading.Tasks;
        """;

    private static readonly CSharpParseOptions Options = new(LanguageVersion.Preview, DocumentationMode.None);

    private House(IReadOnlyCollection<string> rooms, IReadOnlyList<Arrow> arrows)
    {
        Rooms = rooms;
        Arrows = arrows;
    }

    /// <summary>Every namespace that a file of the sources declares.</summary>
    public IReadOnlyCollection<string> Rooms { get; }

    /// <summary>Every use of one room by another.</summary>
    public IReadOnlyList<Arrow> Arrows { get; }

    /// <summary>The house whose files these are.</summary>
    /// <param name="sources">Text of each file by its path, as it shall be reported.</param>
    public static House Of(IEnumerable<(string Path, string Text)> sources)
    {
        SyntaxTree[] files = [.. sources.Select(source => CSharpSyntaxTree.ParseText(source.Text, Options, source.Path))];
        // What generators add, messages of the protocol above all, is taken from the assemblies that were built.
        var references = ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)
            .Select(path => MetadataReference.CreateFromFile(path));
        var compilation = CSharpCompilation.Create(
            "House", [.. files, CSharpSyntaxTree.ParseText(ImplicitUsings, Options)], references,
            new CSharpCompilationOptions(OutputKind.ConsoleApplication, allowUnsafe: true));
        var rooms = files.Select(RoomOf).OfType<string>().ToHashSet(StringComparer.Ordinal);
        return new House(rooms, [.. ArrowsOf(compilation, files, rooms)]);
    }

    /// <summary>Rooms that use each other in a circle, with the arrows that make it one; none in a good house.</summary>
    public IEnumerable<Knot> Knots()
    {
        var reached = Rooms.ToDictionary(room => room, Reach, StringComparer.Ordinal);
        var untied = Rooms.Order(StringComparer.Ordinal).ToList();
        while (untied.Count > 0)
        {
            string first = untied[0];
            string[] knot = [.. untied.Where(other => other == first || (reached[first].Contains(other) && reached[other].Contains(first)))];
            untied.RemoveAll(knot.Contains);
            if (knot.Length > 1)
            {
                yield return new Knot(knot, [.. Arrows.Where(arrow => knot.Contains(arrow.From) && knot.Contains(arrow.To))]);
            }
        }
    }

    private HashSet<string> Reach(string room)
    {
        var reached = new HashSet<string>(StringComparer.Ordinal);
        var next = new Queue<string>([room]);
        while (next.TryDequeue(out string? from))
        {
            foreach (string to in Arrows.Where(arrow => arrow.From == from).Select(arrow => arrow.To).Where(reached.Add))
            {
                next.Enqueue(to);
            }
        }

        return reached;
    }

    private static string? RoomOf(SyntaxTree file) =>
        file.GetCompilationUnitRoot().Members.OfType<BaseNamespaceDeclarationSyntax>().SingleOrDefault()?.Name.ToString();

    private static IEnumerable<Arrow> ArrowsOf(CSharpCompilation compilation, IEnumerable<SyntaxTree> files, HashSet<string> rooms) =>
        from file in files.AsParallel()
        let room = RoomOf(file)
        where room is not null
        from used in UsedIn(compilation.GetSemanticModel(file))
        where used.Room != room && rooms.Contains(used.Room)
        group $"{file.FilePath}: {used.Type}" by (From: room, To: used.Room) into uses
        orderby uses.Key.From, uses.Key.To
        select new Arrow(uses.Key.From, uses.Key.To, [.. uses.Distinct().Order(StringComparer.Ordinal)]);

    private static IEnumerable<(string Room, string Type)> UsedIn(SemanticModel model) =>
        model.SyntaxTree.GetRoot().DescendantNodes()
            .Where(node => node is SimpleNameSyntax or ImplicitObjectCreationExpressionSyntax)
            .Select(node => model.GetSymbolInfo(node))
            .Select(info => info.Symbol ?? info.CandidateSymbols.FirstOrDefault())
            .Select(symbol => (symbol as INamedTypeSymbol ?? symbol?.ContainingType)?.OriginalDefinition)
            .OfType<INamedTypeSymbol>()
            .Distinct<INamedTypeSymbol>(SymbolEqualityComparer.Default)
            .Select(type => (Room: type.ContainingNamespace.ToDisplayString(), Type: type.Name))
            .Where(used => used.Room.StartsWith(Root, StringComparison.Ordinal));
}
