namespace MigrationD.Protocol.Lanes.Contract;

/// <summary>A lane failed. The message says what was going on, with whom and what came.</summary>
/// <param name="kind">What kind of failure it is.</param>
/// <param name="message">The message.</param>
/// <param name="cause">What caused it.</param>
public sealed class LaneException(LaneFailure kind, string message, Exception? cause = null) : IOException(message, cause)
{
    /// <summary>What kind of failure it is.</summary>
    public LaneFailure Kind { get; } = kind;
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
