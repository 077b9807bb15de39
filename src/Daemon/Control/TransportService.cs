using Microsoft.AspNetCore.Routing;
using MigrationD.Daemon.Destination;
using MigrationD.Daemon.Draining;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Security;
using MigrationD.Protocol.Grpc;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Control;

/// <summary>Answers other daemons: service Transport of transport.proto, on the control listener.</summary>
internal sealed class TransportService(DestinationSessions sessions, string lanes, PeerSecurity security, NodeCapacity capacity)
{
    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapUnary(TransportMethods.Prepare, async (request, context) =>
        {
            RefuseUnlessSender(context);
            DestinationSession session;
            try
            {
                session = await sessions.PrepareAsync(request).ConfigureAwait(false);
            }
            catch (NodeBusyException busy)
            {
                return request.MayWait
                    ? new PrepareResponse { Busy = busy.Message }
                    : throw new GrpcException(GrpcStatusCode.ResourceExhausted, busy.Message);
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
            };
        });
        routes.MapUnary(TransportMethods.Forget, (request, _) =>
        {
            sessions.Find(request.Session).Forget(request.StaleRuns);
            return Task.FromResult(new ForgetResponse());
        });
        routes.MapUnary(TransportMethods.LoadState, async (request, _) =>
        {
            await sessions.Find(request.Session).LoadStateAsync(request.DeviceState.Memory).ConfigureAwait(false);
            return new LoadStateResponse();
        });
        routes.MapUnary(TransportMethods.Run, (request, _) =>
        {
            sessions.Find(request.Session).Run();
            return Task.FromResult(new RunResponse());
        });
        routes.MapUnary(TransportMethods.QueryOutcome, async (request, _) => new QueryOutcomeResponse
        {
            Outcome = await sessions.Find(request.Session).AskOutcomeAsync().ConfigureAwait(false),
        });
        routes.MapUnary(TransportMethods.Complete, async (request, context) => new CompleteResponse
        {
            Placement = await sessions.Find(request.Session).CompleteAsync(context.CancellationToken).ConfigureAwait(false),
        });
        routes.MapUnary(TransportMethods.Recover, async (request, _) =>
        {
            RecoverResponse response = await sessions.Find(request.Session).RecoverAsync().ConfigureAwait(false);
            response.Lanes = lanes;
            return response;
        });
        routes.MapUnary(TransportMethods.Abort, async (request, _) =>
        {
            await sessions.Find(request.Session).AbortAsync(request.Reason).ConfigureAwait(false);
            return new AbortResponse();
        });
        routes.MapServerStreaming(TransportMethods.RelayConsole, (request, context) => ConsoleFeed.ReadAsync(
            sessions.FindGuest(request.Session), (long)Math.Min(request.Offset, long.MaxValue / 2), request.Follow,
            context.CancellationToken));
        routes.MapUnary(TransportMethods.GetCapacity, (_, context) =>
        {
            RefuseUnlessSender(context);
            return Task.FromResult(capacity.Describe());
        });
    }

    /// <summary>Its connection may be older than the list that it is not on any more.</summary>
    private void RefuseUnlessSender(GrpcCallContext context)
    {
        if (context.PeerCertificate is { } shown && security.RefuseSender(shown) is { } why)
        {
            throw new GrpcException(GrpcStatusCode.PermissionDenied, $"this node takes no guests from {shown.Subject}: {why}");
        }
    }
}
