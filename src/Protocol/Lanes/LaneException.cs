namespace MigrationD.Protocol.Lanes;

/// <summary>A lane failed. The message says what was going on, with whom and what came.</summary>
public sealed class LaneException : IOException
{
    /// <summary>A failure of the given kind.</summary>
    public LaneException(LaneFailure kind, string message)
        : base(message)
    {
        Kind = kind;
    }

    /// <summary>A failure of the given kind with what caused it.</summary>
    public LaneException(LaneFailure kind, string message, Exception? cause)
        : base(message, cause)
    {
        Kind = kind;
    }

    /// <summary>What kind of failure it is.</summary>
    public LaneFailure Kind { get; }
}
