namespace MigrationD.Protocol.Refusals;

/// <summary>
/// What was asked for is not done, for a reason that whoever asked is told: what was tried, on what, what is in the way, and what to do
/// next. Thrown where the decision is made, whoever asked; the doors of the daemon make a gRPC status of it, and a caller gets it back.
/// </summary>
public sealed class Refusal : Exception
{
    /// <summary>A refusal with the sentence that travels in <c>grpc-message</c>.</summary>
    public Refusal(Because why, string message)
        : base(message)
    {
        Why = why;
    }

    /// <summary>A refusal with its sentence and what caused it on this side.</summary>
    public Refusal(Because why, string message, Exception cause)
        : base(message, cause)
    {
        Why = why;
    }

    /// <summary>The kind of reason.</summary>
    public Because Why { get; }

    /// <summary>The kind of reason that a number from a peer stands for; <see cref="Because.Unknown"/> for a number that is none.</summary>
    public static Because ReasonOf(long code) => code is > 0 and <= int.MaxValue && Enum.IsDefined((Because)code)
        ? (Because)code
        : Because.Unknown;
}
