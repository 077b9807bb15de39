namespace MigrationD.EndToEnd.Tests;

/// <summary>One end of a <see cref="NetworkPair"/>.</summary>
internal sealed record NetworkHost(string Namespace, string Device, string Address);
