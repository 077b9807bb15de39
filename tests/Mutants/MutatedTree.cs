using System.Diagnostics;
using System.Globalization;
using Microsoft.CodeAnalysis.CSharp;

namespace MigrationD.Mutants;

/// <summary>A copy of the working tree whose sources carry mutants, with its unit tests built. It is deleted at the end.</summary>
internal sealed class MutatedTree : IDisposable
{
    private const string Tests = "tests/Daemon.Tests";

    private readonly string _folder = Directory.CreateTempSubdirectory("migrationd-mutants-").FullName;

    /// <summary>Copies the tree, plants the mutants of the files into the copy and builds it.</summary>
    /// <param name="tree">The top of the working tree.</param>
    /// <param name="files">The files that get mutants, from there.</param>
    public MutatedTree(string tree, IEnumerable<string> files)
    {
        foreach (string file in Output("git", ["-C", tree, "ls-files", "-z"]).Split('\0', StringSplitOptions.RemoveEmptyEntries))
        {
            string to = Path.Combine(_folder, file);
            _ = Directory.CreateDirectory(Path.GetDirectoryName(to)!);
            File.Copy(Path.Combine(tree, file), to);
        }

        foreach (string file in files)
        {
            string path = Path.Combine(_folder, file);
            var rewriter = new MutantRewriter(file, Planted);
            File.WriteAllText(path, rewriter.Visit(CSharpSyntaxTree.ParseText(File.ReadAllText(path)).GetRoot()).ToFullString());
        }

        using (Stream question = typeof(MutatedTree).Assembly.GetManifestResourceStream("Mutant.cs")!)
        using (FileStream file = File.Create(Path.Combine(_folder, "src/Daemon/Mutant.cs")))
        {
            question.CopyTo(file);
        }

        // What is mutated may be in poor style.
        _ = Output(
            "dotnet",
            [
                "build", "-c", "Release", "-v:q", Path.Combine(_folder, Tests),
                "-p:TreatWarningsAsErrors=false", "-p:RunAnalyzers=false", "-p:EnforceCodeStyleInBuild=false",
            ]);
        Classes = Output("dotnet", [TestProgram, "-list", "classes", "-noColor"])
            .Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => line.Trim())
            // What reads the sources finds them changed.
            .Where(line => line.StartsWith("MigrationD.", StringComparison.Ordinal))
            .Where(line => !line.Contains(".Architecture.", StringComparison.Ordinal))
            .ToArray();
    }

    /// <summary>The mutants, by number.</summary>
    public List<PlantedMutant> Planted { get; } = [];

    /// <summary>The classes of tests.</summary>
    public IReadOnlyList<string> Classes { get; }

    private string TestProgram => Path.Combine(_folder, Tests, "bin/Release/net10.0/MigrationD.Daemon.Tests.dll");

    /// <summary>Runs a class with all mutants asleep.</summary>
    /// <returns>The mutants that it passed by; how long it took; and whether all of it passed.</returns>
    public (IReadOnlyList<int> PassedBy, TimeSpan Took, bool Passed) Trace(string testClass)
    {
        string record = Path.Combine(_folder, "passed-by");
        File.WriteAllText(record, "");
        long begun = Stopwatch.GetTimestamp();
        bool passed = Run([testClass], TimeSpan.FromMinutes(5), ("MUTANTS_PASSED", record));
        TimeSpan took = Stopwatch.GetElapsedTime(begun);
        return ([.. File.ReadLines(record).Select(line => int.Parse(line, CultureInfo.InvariantCulture))], took, passed);
    }

    /// <summary>Whether classes of tests notice a mutant: one of them fails, or they do not end in time.</summary>
    public bool Notice(int mutant, IEnumerable<string> testClasses, TimeSpan time) =>
        !Run(testClasses, time, ("MUTANT", mutant.ToString(CultureInfo.InvariantCulture)));

    /// <summary>Deletes the copy.</summary>
    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static string Output(string program, string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true })!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0
            ? output
            : throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}:\n{output}");
    }

    private bool Run(IEnumerable<string> testClasses, TimeSpan time, (string Name, string Value) setting)
    {
        var start = new ProcessStartInfo(
            "dotnet", [TestProgram, "-stopOnFail", "-noLogo", "-noColor", .. testClasses.SelectMany(name => new[] { "-class", name })])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment[setting.Name] = setting.Value;
        using Process process = Process.Start(start)!;
        process.OutputDataReceived += (_, _) => { };
        process.ErrorDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        if (process.WaitForExit(time))
        {
            return process.ExitCode == 0;
        }

        process.Kill(entireProcessTree: true);
        process.WaitForExit();
        return false;
    }
}
