using MigrationD.Protocol.V1;

namespace MigrationD.Protocol.Grpc;

/// <summary>
/// Every method of service Transport (protos/migrationd/v1/transport.proto), which the destination of a migration serves.
/// </summary>
public static class TransportMethods
{
    private const string Service = "migrationd.v1.Transport";

    /// <summary>Gets the destination ready for a guest that still runs on the source, or refuses it.</summary>
    public static readonly GrpcMethod<PrepareRequest, PrepareResponse> Prepare = new(Service, nameof(Prepare));

    /// <summary>After precopy: makes pages missing again that were written after they were sent.</summary>
    public static readonly GrpcMethod<ForgetRequest, ForgetResponse> Forget = new(Service, nameof(Forget));

    /// <summary>Hands the device state over; the answer means that the guest could run.</summary>
    public static readonly GrpcMethod<LoadStateRequest, LoadStateResponse> LoadState = new(Service, nameof(LoadState));

    /// <summary>Gives the guest away. Whoever sends it never resumes the guest by itself again.</summary>
    public static readonly GrpcMethod<RunRequest, RunResponse> Run = new(Service, nameof(Run));

    /// <summary>Whether the guest ever ran on the destination, whose word is final.</summary>
    public static readonly GrpcMethod<QueryOutcomeRequest, QueryOutcomeResponse> QueryOutcome = new(Service, nameof(QueryOutcome));

    /// <summary>Answered once the destination holds every page.</summary>
    public static readonly GrpcMethod<CompleteRequest, CompleteResponse> Complete = new(Service, nameof(Complete));

    /// <summary>Which pages the destination holds, and the way to new lanes.</summary>
    public static readonly GrpcMethod<RecoverRequest, RecoverResponse> Recover = new(Service, nameof(Recover));

    /// <summary>The source gives up before Run.</summary>
    public static readonly GrpcMethod<AbortRequest, AbortResponse> Abort = new(Service, nameof(Abort));

    /// <summary>The console of the guest that came in a session.</summary>
    public static readonly GrpcMethod<RelayConsoleRequest, ConsoleChunk> RelayConsole =
        new(Service, nameof(RelayConsole), serverStreaming: true);

    /// <summary>What a daemon has room for.</summary>
    public static readonly GrpcMethod<GetCapacityRequest, Capacity> GetCapacity = new(Service, nameof(GetCapacity));
}
