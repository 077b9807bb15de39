namespace MigrationD.Protocol.Refusals;

/// <summary>
/// What was asked for is not done, for a reason that the asker is told: what was tried, on what, what is in the way, and what to do next.
/// Thrown where the decision is made; the doors of the daemon make a gRPC status of it, and a caller gets it back.
/// </summary>
/// <param name="why">The kind of reason.</param>
/// <param name="message">The sentence that travels in <c>grpc-message</c>.</param>
/// <param name="cause">What caused it on this side.</param>
public sealed class Refusal(Because why, string message, Exception? cause = null) : Exception(message, cause)
{
    /// <summary>The kind of reason.</summary>
    public Because Why { get; } = why;

    /// <summary>The kind of reason that a number from a peer stands for; <see cref="Because.Unknown"/> for a number that is none.</summary>
    public static Because ReasonOf(long code) =>
        code is > 0 and <= int.MaxValue && Enum.IsDefined((Because)code) ? (Because)code : Because.Unknown;
}
