using Grpc.Core;
using MigrationD.Daemon.Destination;
using MigrationD.Daemon.Draining;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Security;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Services;

/// <summary>Answers other daemons: service Transport of transport.proto, on the control listener.</summary>
internal sealed class TransportService(DestinationSessions sessions, string lanes, PeerSecurity security, NodeCapacity capacity)
    : Transport.TransportBase
{
    public override async Task<PrepareResponse> Prepare(PrepareRequest request, ServerCallContext context)
    {
        RefuseUnlessSender(context);
        DestinationSession session;
        try
        {
            session = await sessions.PrepareAsync(request).ConfigureAwait(false);
        }
        catch (NodeBusyException busy)
        {
            return request.MayWait ? new PrepareResponse { Busy = busy.Message } : throw new Refusal(Because.Busy, busy.Message);
        }

        if (context.CancellationToken.IsCancellationRequested)
        {
            // The source has given up meanwhile, and does not know how this session is called.
            await session.AbortAsync("it did not wait for the answer to Prepare").ConfigureAwait(false);
        }

        return new PrepareResponse
        {
            Session = session.Id,
            Secret = Google.Protobuf.ByteString.CopyFrom(session.Secret),
            Lanes = lanes,
            Compression = session.Compression,
            HandoverLane = session.HasHandoverLane,
        };
    }

    public override Task<ForgetResponse> Forget(ForgetRequest request, ServerCallContext context)
    {
        sessions.Find(request.Session).Forget(request.StaleRuns);
        return Task.FromResult(new ForgetResponse());
    }

    public override async Task<LoadStateResponse> LoadState(LoadStateRequest request, ServerCallContext context)
    {
        await sessions.Find(request.Session).LoadStateAsync(request.DeviceState.Memory).ConfigureAwait(false);
        return new LoadStateResponse();
    }

    public override Task<RunResponse> Run(RunRequest request, ServerCallContext context)
    {
        sessions.Find(request.Session).Run();
        return Task.FromResult(new RunResponse());
    }

    public override async Task<QueryOutcomeResponse> QueryOutcome(QueryOutcomeRequest request, ServerCallContext context) =>
        new() { Outcome = await sessions.Find(request.Session).AskOutcomeAsync().ConfigureAwait(false) };

    public override async Task<CompleteResponse> Complete(CompleteRequest request, ServerCallContext context) => new()
    {
        Placement = await sessions.Find(request.Session).CompleteAsync(context.CancellationToken).ConfigureAwait(false),
    };

    public override async Task<RecoverResponse> Recover(RecoverRequest request, ServerCallContext context)
    {
        RecoverResponse response = await sessions.Find(request.Session).RecoverAsync().ConfigureAwait(false);
        response.Lanes = lanes;
        return response;
    }

    public override async Task<AbortResponse> Abort(AbortRequest request, ServerCallContext context)
    {
        await sessions.Find(request.Session).AbortAsync(request.Reason).ConfigureAwait(false);
        return new AbortResponse();
    }

    public override Task RelayConsole(
        RelayConsoleRequest request, IServerStreamWriter<ConsoleChunk> responses, ServerCallContext context) =>
        responses.SendAllAsync(
            ConsoleFeed.ReadAsync(
                sessions.FindGuest(request.Session), request.Offset, request.Follow, TimeProvider.System, context.CancellationToken),
            context);

    public override Task<Capacity> GetCapacity(GetCapacityRequest request, ServerCallContext context)
    {
        RefuseUnlessSender(context);
        return Task.FromResult(capacity.Describe());
    }

    /// <summary>Refuses a caller that is not on the list any more: its connection may be older.</summary>
    private void RefuseUnlessSender(ServerCallContext context)
    {
        if (context.GetHttpContext().Connection.ClientCertificate is { } shown && security.RefuseSender(shown) is { } why)
        {
            throw new Refusal(Because.Forbidden, $"this node takes no guests from {shown.Subject}: {why}");
        }
    }
}
