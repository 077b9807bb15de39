using Google.Protobuf.Reflection;
using Grpc.Core;
using Grpc.Health.V1;
using MigrationD.Protocol.Calls;
using ServingStatus = Grpc.Health.V1.HealthCheckResponse.Types.ServingStatus;

namespace MigrationD.Daemon.Services;

/// <summary>
/// Answers probes: gRPC's own service of health checks (grpc/doc/health-checking.md), for the whole server and for the one service that is
/// served beside it. What it says is what a look at the node finds.
/// </summary>
internal sealed class HealthService(
    Func<CancellationToken, Task<Protocol.V1.Health>> look, ServiceDescriptor service, TimeProvider time)
    : Grpc.Health.V1.Health.HealthBase
{
    // A look opens devices and a connection; any number of probes share one.
    private static readonly TimeSpan Fresh = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private Task<ServingStatus>? _look;
    private long _lookedAt;

    public override async Task<HealthCheckResponse> Check(HealthCheckRequest request, ServerCallContext context)
    {
        if (!IsServed(request.Service))
        {
            throw new Refusal(
                Because.NotFound, $"check the health of service '{request.Service}': it is not served here; {service.FullName} is");
        }

        return new HealthCheckResponse { Status = await LookAsync().WaitAsync(context.CancellationToken).ConfigureAwait(false) };
    }

    public override async Task Watch(
        HealthCheckRequest request, IServerStreamWriter<HealthCheckResponse> responses, ServerCallContext context)
    {
        CancellationToken cancellationToken = context.CancellationToken;
        ServingStatus said = ServingStatus.Unknown;
        while (true)
        {
            // A service that is not known may come one day, says the protocol, and the call goes on.
            ServingStatus status = IsServed(request.Service)
                ? await LookAsync().WaitAsync(cancellationToken).ConfigureAwait(false)
                : ServingStatus.ServiceUnknown;
            if (status != said)
            {
                said = status;
                await responses.WriteUntilAsync(new HealthCheckResponse { Status = status }, cancellationToken).ConfigureAwait(false);
            }

            await Task.Delay(Fresh, time, cancellationToken).ConfigureAwait(false);
        }
    }

    private bool IsServed(string name) => name.Length == 0 || name == service.FullName;

    private Task<ServingStatus> LookAsync()
    {
        lock (_lock)
        {
            if (_look is null || (_look.IsCompleted && time.GetElapsedTime(_lookedAt) > Fresh))
            {
                _lookedAt = time.GetTimestamp();
                _look = LookOnceAsync();
            }

            return _look;
        }
    }

    private async Task<ServingStatus> LookOnceAsync()
    {
        Protocol.V1.Health found = await look(CancellationToken.None).ConfigureAwait(false);
        return found.Checks.All(check => check.Ok) ? ServingStatus.Serving : ServingStatus.NotServing;
    }
}
