using System.Text.Json.Nodes;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Json;

/// <summary>A daemon in --json; one that is drained takes in no guests.</summary>
internal sealed record NodeJson(
    string Name, string Version, IReadOnlyList<uint> ProtocolVersions, string Listen, string Lanes, string? Web, int ProcessId,
    bool Drained);

/// <summary>The answer of <c>health --json</c>. The verdict, and each check's status, is <c>ok</c> or <c>failed</c>.</summary>
internal sealed record HealthJson(string Verdict, string Node, IReadOnlyList<DoctorJson.Check> Checks);

/// <summary>The answer of <c>doctor --json</c>. The verdict is <c>ok</c>, <c>warnings</c> or <c>failed</c>.</summary>
internal sealed record DoctorJson(string Verdict, IReadOnlyList<DoctorJson.Check> Checks)
{
    /// <summary>One check: <c>ok</c>, <c>warning</c> or <c>missing</c>, what was found, and what to do about it.</summary>
    internal sealed record Check(string Name, string Status, string Found, string? Remedy);
}

/// <summary>The answer of <c>top --json</c>: a daemon with all that is on it.</summary>
internal sealed record TopJson(NodeJson Node, IReadOnlyList<GuestJson> Guests, IReadOnlyList<JsonObject> Migrations);

/// <summary>A daemon with all that was on it when it was asked.</summary>
/// <param name="Node">The daemon.</param>
/// <param name="Guests">Its guests.</param>
/// <param name="Migrations">Its migrations, the newest last.</param>
/// <param name="At">When it was asked.</param>
internal sealed record NodeSnapshot(
    Node Node, IReadOnlyList<Protocol.V1.Guest> Guests, IReadOnlyList<Migration> Migrations, DateTimeOffset At);
