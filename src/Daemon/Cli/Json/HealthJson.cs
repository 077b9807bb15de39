namespace MigrationD.Daemon.Cli.Json;

/// <summary>The answer of <c>health --json</c>. The verdict, and each check's status, is <c>ok</c> or <c>failed</c>.</summary>
internal sealed record HealthJson(string Verdict, string Node, IReadOnlyList<DoctorJson.Check> Checks);
