namespace MigrationD.Daemon.Json;

/// <summary>The answer of <c>doctor --json</c>. The verdict is <c>ok</c>, <c>warnings</c> or <c>failed</c>.</summary>
internal sealed record DoctorJson(string Verdict, IReadOnlyList<DoctorJson.Check> Checks)
{
    /// <summary>One check: <c>ok</c>, <c>warning</c> or <c>missing</c>, what was found, and what to do about it.</summary>
    internal sealed record Check(string Name, string Status, string Found, string? Remedy);
}
