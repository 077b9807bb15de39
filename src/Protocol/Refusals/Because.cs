namespace MigrationD.Protocol.Refusals;

/// <summary>Why a <see cref="Refusal"/> is made: what the asker can make of it.</summary>
/// <remarks>
/// The numbers are those of gRPC's status codes (grpc/doc/statuscodes.md), because a refusal travels as one; what each of them means here
/// stands in docs/protocol.md.
/// </remarks>
public enum Because
{
    /// <summary>CANCELLED: the asker does not want to know any more.</summary>
    Cancelled = 1,

    /// <summary>UNKNOWN: what came back says no more than that it is an error.</summary>
    Unknown = 2,

    /// <summary>INVALID_ARGUMENT: what was asked for makes no sense, whatever state anything is in.</summary>
    Invalid = 3,

    /// <summary>DEADLINE_EXCEEDED: no answer came in time. What was asked for may have been done.</summary>
    TimedOut = 4,

    /// <summary>NOT_FOUND: there is no such guest, migration or session.</summary>
    NotFound = 5,

    /// <summary>ALREADY_EXISTS: there is one of that name.</summary>
    AlreadyThere = 6,

    /// <summary>PERMISSION_DENIED: it is known who asks, and he may not.</summary>
    Forbidden = 7,

    /// <summary>RESOURCE_EXHAUSTED: a limit is reached, of memory, of guests on their way, or of a message's size.</summary>
    Busy = 8,

    /// <summary>FAILED_PRECONDITION: the state of what was asked about does not allow it.</summary>
    NotNow = 9,

    /// <summary>ABORTED: what was asked about ended meanwhile.</summary>
    Gone = 10,

    /// <summary>OUT_OF_RANGE: a page beyond the end of the guest's memory.</summary>
    OutOfRange = 11,

    /// <summary>UNIMPLEMENTED: the other side knows no such method; it is of another version.</summary>
    NotSupported = 12,

    /// <summary>INTERNAL: something broke that was not foreseen, or what came is not what the protocol says.</summary>
    Failed = 13,

    /// <summary>UNAVAILABLE: the other side cannot be reached or is on its way out; worth trying again.</summary>
    Unreachable = 14,

    /// <summary>DATA_LOSS. Nothing here says it; others may.</summary>
    Lost = 15,

    /// <summary>UNAUTHENTICATED: it is not known who the other side is, or it is not whom it should be.</summary>
    Untrusted = 16,
}
