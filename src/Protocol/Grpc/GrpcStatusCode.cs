namespace MigrationD.Protocol.Grpc;

/// <summary>Status codes of gRPC (grpc/doc/statuscodes.md), as they travel in <c>grpc-status</c>.</summary>
public enum GrpcStatusCode
{
    /// <summary>Success.</summary>
    Ok = 0,

    /// <summary>The caller gave the call up.</summary>
    Cancelled = 1,

    /// <summary>A failure nobody foresaw.</summary>
    Unknown = 2,

    /// <summary>The request itself is wrong, whatever the state of the server.</summary>
    InvalidArgument = 3,

    /// <summary>The deadline passed first.</summary>
    DeadlineExceeded = 4,

    /// <summary>What was asked for does not exist.</summary>
    NotFound = 5,

    /// <summary>What was to be created exists.</summary>
    AlreadyExists = 6,

    /// <summary>The caller may not do this.</summary>
    PermissionDenied = 7,

    /// <summary>A limit of memory, size or count is reached.</summary>
    ResourceExhausted = 8,

    /// <summary>The server is not in the state that the request needs.</summary>
    FailedPrecondition = 9,

    /// <summary>The call was ended by the other side.</summary>
    Aborted = 10,

    /// <summary>Past the valid range.</summary>
    OutOfRange = 11,

    /// <summary>No such method.</summary>
    Unimplemented = 12,

    /// <summary>Something is broken on the server.</summary>
    Internal = 13,

    /// <summary>The server cannot be reached now.</summary>
    Unavailable = 14,

    /// <summary>Data was lost or corrupted for good.</summary>
    DataLoss = 15,

    /// <summary>The caller is not known.</summary>
    Unauthenticated = 16,
}
