using Microsoft.Extensions.Logging;

namespace MigrationD.Protocol.Lanes;

/// <summary>What a listener reports.</summary>
internal static partial class LaneLog
{
    [LoggerMessage(1, LogLevel.Information, "Lanes are served on {EndPoint}")]
    public static partial void Listening(ILogger logger, EndPoint endPoint);

    [LoggerMessage(2, LogLevel.Warning, "Refused a lane from {Peer}: {Limit} are open, which is the limit")]
    public static partial void TooMany(ILogger logger, EndPoint? peer, int limit);

    [LoggerMessage(3, LogLevel.Warning, "A lane did not begin: {Reason}")]
    public static partial void NotBegun(ILogger logger, string reason);

    [LoggerMessage(4, LogLevel.Debug, "Serving {Path} for {Peer}")]
    public static partial void Serving(ILogger logger, string path, EndPoint peer);

    [LoggerMessage(5, LogLevel.Debug, "Done with {Path} for {Peer}: {Received} bytes received, {Sent} sent")]
    public static partial void Done(ILogger logger, string path, EndPoint peer, long received, long sent);

    [LoggerMessage(6, LogLevel.Warning, "A lane failed ({Kind}): {Reason}")]
    public static partial void Failed(ILogger logger, LaneFailure kind, string reason);

    [LoggerMessage(7, LogLevel.Error, "Serving {Path} for {Peer} failed; the call ends with status INTERNAL")]
    public static partial void HandlerFailed(ILogger logger, string path, EndPoint peer, Exception error);

    [LoggerMessage(8, LogLevel.Error, "Cannot accept a lane, and tries again: {Reason}")]
    public static partial void AcceptFailed(ILogger logger, string reason);

    [LoggerMessage(9, LogLevel.Warning, "{Count} lanes on {EndPoint} did not end in time after the listener was closed")]
    public static partial void NotEnded(ILogger logger, int count, EndPoint endPoint);
}
