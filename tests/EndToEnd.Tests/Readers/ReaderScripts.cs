using System.Text.Json.Nodes;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests.Readers;

/// <summary>
/// The scripts that stand next to this file, which read what a daemon serves. A class fixture: tests that use it carry
/// <see cref="Needs.Node"/>.
/// </summary>
public sealed class ReaderScripts : IAsyncLifetime
{
    private static readonly TimeSpan InstallDeadline = TimeSpan.FromMinutes(3);
    private static readonly TimeSpan RunDeadline = TimeSpan.FromMinutes(2);

    private readonly NodeScripts _scripts = new();

    /// <summary>Installs them.</summary>
    public async ValueTask InitializeAsync() => await _scripts.InstallAsync("Readers", InstallDeadline);

    /// <summary>Removes them.</summary>
    public ValueTask DisposeAsync()
    {
        _scripts.Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>A path in the folder of the scripts.</summary>
    public string PathOf(string name) => _scripts.PathOf(name);

    /// <summary>Runs a script with <paramref name="input"/> as its input; what it writes is JSON.</summary>
    /// <exception cref="InvalidOperationException">It failed, or was still running at the deadline; says what it wrote.</exception>
    public async Task<JsonNode> RunAsync(string script, string input, params string[] arguments) =>
        JsonNode.Parse(await _scripts.RunAsync(script, arguments, RunDeadline, async (reads, writes) =>
        {
            // Read meanwhile: a script that answers before it has read everything must not wait for this side.
            Task<string> output = writes.ReadToEndAsync();
            await reads.WriteAsync(input);
            reads.Close();
            return await output;
        }))!;

    /// <summary>Runs a script that waits for what the test does, and listens to it.</summary>
    public Task<string> TalkAsync(string script, string argument, Func<StreamReader, Task<string>> listen) =>
        _scripts.RunAsync(script, [argument], RunDeadline, (_, writes) => listen(writes));

    /// <summary>Runs a script that writes a line when it has seen the half of it, and in the next what it has seen, as JSON.</summary>
    /// <param name="script">File name of the script.</param>
    /// <param name="halfway">What to do when it is halfway.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <exception cref="InvalidOperationException">It failed, or was still running at the deadline; says what it wrote.</exception>
    public async Task<JsonNode> RunAsync(string script, Action halfway, params string[] arguments) =>
        JsonNode.Parse(await _scripts.RunAsync(script, arguments, RunDeadline, async (_, writes) =>
        {
            if (await writes.ReadLineAsync() is not null)
            {
                halfway();
            }

            return await writes.ReadToEndAsync();
        }))!;
}
