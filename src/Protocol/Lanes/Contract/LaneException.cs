namespace MigrationD.Protocol.Lanes.Contract;

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

/// <summary>Why a lane failed.</summary>
public enum LaneFailure
{
    /// <summary>The peer closed the connection before the call was over, or nobody listens there.</summary>
    PeerClosed = 1,

    /// <summary>The peer gave the call up (RST_STREAM, an error in GOAWAY) or the connection was reset.</summary>
    Reset = 2,

    /// <summary>The peer broke a rule of HTTP/2, of gRPC or of the page messages.</summary>
    ProtocolError = 3,

    /// <summary>The peer was silent for longer than the options allow.</summary>
    Timeout = 4,

    /// <summary>This side gave the call up.</summary>
    Aborted = 5,
}
