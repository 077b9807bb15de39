using System.Diagnostics;
using System.Text.Json;
using MigrationD.TestSupport;

namespace MigrationD.Daemon.Tests.Cli.Demo;

/// <summary>The demo as a process with real daemons; small, as the full one is the end-to-end tests'.</summary>
public sealed class DemoProcessTests : IDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);
    private readonly Hosting.TemporaryFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [MachineFact(Needs.Userfaultfd)]
    public async Task It_ends_with_0_one_json_object_and_an_empty_scratch_folder()
    {
        using var demo = Start();
        using var deadline = new CancellationTokenSource(Deadline);
        try
        {
            var output = await demo.StandardOutput.ReadToEndAsync(deadline.Token);
            await demo.WaitForExitAsync(deadline.Token);

            var root = JsonDocument.Parse(output).RootElement;
            Assert.True(root.GetProperty("verdict").GetString() == "ok", output);
            Assert.Equal(0, demo.ExitCode);
            Assert.Empty(Directory.GetFileSystemEntries(_scratch.PathOf("tmp")));
        }
        finally
        {
            demo.Kill(entireProcessTree: true);
        }
    }

    [MachineFact(Needs.Userfaultfd)]
    public async Task Its_daemons_end_when_it_is_killed()
    {
        using var demo = Start();
        using var deadline = new CancellationTokenSource(Deadline);
        var daemons = new List<Process>();
        try
        {
            while (daemons.Count < 2)
            {
                deadline.Token.ThrowIfCancellationRequested();
                await Task.Delay(20, deadline.Token);
                daemons = [.. ChildrenOf(demo.Id)];
            }

            demo.Kill();
            foreach (var daemon in daemons)
            {
                await daemon.WaitForExitAsync(deadline.Token);
            }
        }
        finally
        {
            demo.Kill();
            daemons.ForEach(daemon => daemon.Kill());
            daemons.ForEach(daemon => daemon.Dispose());
        }
    }

    private Process Start()
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "migrationd"),
            ["demo", "--json", "--guest", "workload", "--memory", "16MiB"])
        {
            RedirectStandardOutput = true,
        };
        start.Environment["TMPDIR"] = Directory.CreateDirectory(_scratch.PathOf("tmp")).FullName;
        return Process.Start(start)!;
    }

    private static IEnumerable<Process> ChildrenOf(int parent)
    {
        foreach (var task in Directory.EnumerateDirectories($"/proc/{parent}/task"))
        {
            foreach (var id in ChildrenOfThread(task).Split(' ', StringSplitOptions.RemoveEmptyEntries))
            {
                yield return Process.GetProcessById(int.Parse(id, System.Globalization.CultureInfo.InvariantCulture));
            }
        }
    }

    private static string ChildrenOfThread(string task)
    {
        try
        {
            return File.ReadAllText(Path.Combine(task, "children"));
        }
        catch (IOException)
        {
            // A thread of the pool that has ended since it was listed.
            return "";
        }
    }
}
