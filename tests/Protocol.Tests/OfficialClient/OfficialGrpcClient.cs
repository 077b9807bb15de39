using MigrationD.TestSupport;

namespace MigrationD.Protocol.Tests.OfficialClient;

/// <summary>
/// The scripts that stand next to this file, which call with the official gRPC packages. A class fixture: tests that use it carry
/// <c>[MachineFact(Needs.Node)]</c>.
/// </summary>
public sealed class OfficialGrpcClient : IAsyncLifetime
{
    private static readonly TimeSpan InstallDeadline = TimeSpan.FromMinutes(2);
    private static readonly TimeSpan RunDeadline = TimeSpan.FromSeconds(30);

    private readonly NodeScripts _scripts = new();

    /// <summary>The folder of the .proto files, which scripts get as their first argument.</summary>
    public static string Protos => Path.Combine(AppContext.BaseDirectory, "protos");

    /// <summary>Installs them.</summary>
    public async ValueTask InitializeAsync() => await _scripts.InstallAsync("OfficialClient", InstallDeadline);

    /// <summary>Removes them.</summary>
    public ValueTask DisposeAsync()
    {
        _scripts.Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>
    /// Runs <c>node SCRIPT PROTOS</c> and talks to it until <paramref name="talk"/> returns; then it has to end by itself.
    /// </summary>
    /// <param name="script">File name of the script.</param>
    /// <param name="talk">Gets what the script reads and what it writes. The script's input ends when it returns.</param>
    /// <exception cref="InvalidOperationException">
    /// It failed, or was still running at the deadline. Says what it wrote to standard error.
    /// </exception>
    public Task RunAsync(string script, Func<StreamWriter, StreamReader, Task> talk) =>
        _scripts.RunAsync(script, [Protos], RunDeadline, async (reads, writes) =>
        {
            await talk(reads, writes);
            return "";
        });
}
