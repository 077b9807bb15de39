namespace MigrationD.Daemon.Json;

/// <summary>An error with --json, on standard error: <c>{"error":{"code":"not-found","message":"...","exitCode":4}}</c>.</summary>
internal sealed record ErrorJson(ErrorJson.Detail Error)
{
    /// <summary>What went wrong: a word for scripts, a sentence for people, and the process's exit code.</summary>
    internal sealed record Detail(string Code, string Message, int ExitCode);
}
