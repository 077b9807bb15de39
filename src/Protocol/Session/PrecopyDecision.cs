namespace MigrationD.Protocol.Session;

/// <summary>What comes after a round of precopy, and why, in words for an operator; empty for another round.</summary>
public readonly record struct PrecopyDecision(PrecopyStep Step, string Why);
