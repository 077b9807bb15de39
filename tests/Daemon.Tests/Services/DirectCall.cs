using Grpc.Core;
using Microsoft.AspNetCore.Http;

namespace MigrationD.Daemon.Tests.Services;

/// <summary>A call of one of the daemon's services without a connection: the test is the caller.</summary>
internal sealed class DirectCall : ServerCallContext
{
    private readonly CancellationToken _cancel;
    private readonly Dictionary<object, object> _state;

    public DirectCall(CancellationToken cancel = default, HttpContext? http = null)
    {
        _cancel = cancel;
        // Where Grpc.AspNetCore looks for it.
        _state = new Dictionary<object, object> { ["__HttpContext"] = http ?? new DefaultHttpContext() };
    }

    protected override string MethodCore => "";

    protected override string HostCore => "";

    protected override string PeerCore => "";

    protected override DateTime DeadlineCore => DateTime.MaxValue;

    protected override Metadata RequestHeadersCore { get; } = [];

    protected override CancellationToken CancellationTokenCore => _cancel;

    protected override Metadata ResponseTrailersCore { get; } = [];

    protected override Status StatusCore { get; set; }

    protected override WriteOptions? WriteOptionsCore { get; set; }

    protected override AuthContext AuthContextCore { get; } = new(null, []);

    protected override IDictionary<object, object> UserStateCore => _state;

    protected override ContextPropagationToken CreatePropagationTokenCore(ContextPropagationOptions? options) =>
        throw new NotSupportedException("nothing is called on behalf of this call");

    protected override Task WriteResponseHeadersAsyncCore(Metadata responseHeaders) => Task.CompletedTask;
}
