using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli.Demo;

/// <summary>What the demo has seen so far; what it did not reach is null.</summary>
internal sealed record DemoEvidence
{
    /// <summary>What the guest was made of.</summary>
    public GuestSpec? Spec { get; init; }

    /// <summary>The guest's counters on the source, just before the migration began.</summary>
    public GuestReport? Before { get; init; }

    /// <summary>Its counters on the destination when the migration had ended.</summary>
    public GuestReport? Arrived { get; init; }

    /// <summary>The guest on the destination at the end.</summary>
    public Protocol.V1.Guest? AtDestination { get; init; }

    /// <summary>What is left of the guest on the source at the end.</summary>
    public Protocol.V1.Guest? AtSource { get; init; }

    /// <summary>The migration in its last state, as the source tells it.</summary>
    public Migration? Migration { get; init; }

    /// <summary>What ended the demo early; null when nothing did.</summary>
    public string? Failure { get; init; }
}
