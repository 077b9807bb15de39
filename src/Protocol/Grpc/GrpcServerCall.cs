using System.Globalization;
using System.Net;
using Google.Protobuf;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;

namespace MigrationD.Protocol.Grpc;

/// <summary>Serves the calls of one method: everything between HTTP/2 and its handler.</summary>
internal sealed class GrpcServerCall<TRequest, TResponse>
    where TRequest : class, IMessage<TRequest>, new()
    where TResponse : class, IMessage<TResponse>, new()
{
    // Longer than any timer can run (49 days) is as good as no deadline; the client keeps its own.
    private static readonly TimeSpan LongestTimer = TimeSpan.FromDays(49);

    private readonly GrpcMethod<TRequest, TResponse> _method;
    private readonly Func<TRequest, GrpcCallContext, HttpResponse, Task> _answer;
    private readonly int _maxRequestBytes;
    private readonly CancellationToken _stopping;
    private readonly ILogger _logger;

    /// <summary>The server's side of a method.</summary>
    /// <param name="method">The method.</param>
    /// <param name="answer">Runs the handler and writes its messages.</param>
    /// <param name="maxRequestBytes">The largest request accepted.</param>
    /// <param name="stopping">Ends calls when the server shuts down; none for calls that finish by themselves.</param>
    /// <param name="logger">Where failures go that the client is not told about.</param>
    public GrpcServerCall(
        GrpcMethod<TRequest, TResponse> method,
        Func<TRequest, GrpcCallContext, HttpResponse, Task> answer,
        int maxRequestBytes,
        CancellationToken stopping,
        ILogger logger)
    {
        _method = method;
        _answer = answer;
        _maxRequestBytes = maxRequestBytes;
        _stopping = stopping;
        _logger = logger;
    }

    /// <summary>One call, from its headers to its trailers.</summary>
    public async Task InvokeAsync(HttpContext http)
    {
        IPEndPoint? peer = http.Connection.RemoteIpAddress is { } address ? new IPEndPoint(address, http.Connection.RemotePort) : null;
        if (!Admit(http, peer))
        {
            return;
        }

        // The limit is on messages, whose length is known before their bytes; a limit on the body would only be a second one.
        if (http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
        {
            size.MaxRequestBodySize = null;
        }

        http.Response.ContentType = GrpcProtocol.ContentType;
        http.Response.Headers[GrpcProtocol.AcceptEncodingHeader] = GrpcProtocol.Identity;

        GrpcStatus status = await ServeAsync(http, peer).ConfigureAwait(false);
        if (http.RequestAborted.IsCancellationRequested)
        {
            _logger.ClientGone(_method.Path, peer);
            return;
        }

        if (status.Code != GrpcStatusCode.Ok)
        {
            _logger.CallEnded(_method.Path, peer, status.Code, status.Detail);
        }

        GrpcTrailers.Write(http.Response, status);
    }

    private bool Admit(HttpContext http, IPEndPoint? peer)
    {
        if (!HttpProtocol.IsHttp2(http.Request.Protocol))
        {
            http.Response.Headers.Upgrade = "h2c";
            return Refuse($"it came over {http.Request.Protocol}", StatusCodes.Status426UpgradeRequired);
        }

        return GrpcProtocol.IsGrpc(http.Request.ContentType)
            || Refuse($"its content-type is '{http.Request.ContentType}'", StatusCodes.Status415UnsupportedMediaType);

        bool Refuse(string reason, int httpStatus)
        {
            http.Response.StatusCode = httpStatus;
            _logger.NotGrpc(_method.Path, peer, reason, httpStatus);
            return false;
        }
    }

    private async Task<GrpcStatus> ServeAsync(HttpContext http, IPEndPoint? peer)
    {
        using var expiry = new CancellationTokenSource();
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(http.RequestAborted, expiry.Token, _stopping);
        try
        {
            DateTimeOffset? deadline = ReadHeaders(http.Request.Headers, expiry);
            TRequest request = await ReadRequestAsync(http, ended.Token).ConfigureAwait(false);
            var context = new GrpcCallContext(
                ended.Token, deadline, peer, http.Request.Headers, http.Connection.ClientCertificate);
            await _answer(request, context, http.Response).ConfigureAwait(false);

            // Whoever set the deadline has given up by now; both ends say the same then.
            return expiry.IsCancellationRequested ? Expired() : GrpcStatus.Ok;
        }
        catch (GrpcException error) when (error.Code != GrpcStatusCode.Ok)
        {
            return new GrpcStatus(error.Code, error.Message);
        }
        catch (Exception) when (http.RequestAborted.IsCancellationRequested)
        {
            return new GrpcStatus(GrpcStatusCode.Cancelled, $"{_method.Path}: the client cancelled or is gone.");
        }
        catch (OperationCanceledException) when (expiry.IsCancellationRequested)
        {
            return Expired();
        }
        catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
        {
            return new GrpcStatus(GrpcStatusCode.Unavailable, $"{_method.Path}: the server is shutting down; call again once it is back.");
        }
#pragma warning disable CA1031 // The last resort of a server: whatever a handler throws ends its call and nothing else.
        catch (Exception error)
#pragma warning restore CA1031
        {
            _logger.HandlerFailed(error, _method.Path, peer, http.TraceIdentifier);
            return new GrpcStatus(
                GrpcStatusCode.Internal,
                $"{_method.Path} failed on the server in a way it did not foresee; its log has the cause under id {http.TraceIdentifier}.");
        }
    }

    private GrpcStatus Expired() =>
        new(GrpcStatusCode.DeadlineExceeded, $"{_method.Path}: the deadline passed before the answer was ready.");

    private DateTimeOffset? ReadHeaders(IHeaderDictionary headers, CancellationTokenSource expiry)
    {
        // Every client sends it so that a proxy which would drop trailers, and with them the status, is found out at once.
        if (!headers.TE.ToString().Contains(GrpcProtocol.Trailers, StringComparison.OrdinalIgnoreCase))
        {
            throw new GrpcException(
                GrpcStatusCode.Internal,
                $"{_method.Path}: the request has no 'te: trailers'. Something between client and server removed it and would remove the "
                + "status of the answer as well; let the client connect directly, or through a proxy that knows gRPC.");
        }

        if (!headers.TryGetValue(GrpcProtocol.TimeoutHeader, out var value))
        {
            return null;
        }

        if (!GrpcTimeout.TryParse(value.ToString(), out TimeSpan timeout))
        {
            throw new GrpcException(
                GrpcStatusCode.InvalidArgument,
                $"{_method.Path}: the grpc-timeout is not one to eight digits and one of H, M, S, m, u, n.");
        }

        if (timeout <= LongestTimer)
        {
            expiry.CancelAfter(timeout);
        }

        DateTimeOffset now = DateTimeOffset.UtcNow;
        return timeout < DateTimeOffset.MaxValue - now ? now + timeout : DateTimeOffset.MaxValue;
    }

    private async Task<TRequest> ReadRequestAsync(HttpContext http, CancellationToken cancellation)
    {
        var reader = new MessageFrameReader(http.Request.BodyReader, MessageSide.Request, _method.Path, _maxRequestBytes);
        try
        {
            TRequest request = await reader.ReadAsync(_method.RequestParser, cancellation).ConfigureAwait(false)
                ?? throw WrongCount("none");
            return await reader.ReadAsync(_method.RequestParser, cancellation).ConfigureAwait(false) is null
                ? request
                : throw WrongCount("more than one");
        }
        catch (IOException error)
        {
            // The stream or its connection broke, or the bytes came slower than Kestrel's MinRequestBodyDataRate.
            throw new GrpcException(GrpcStatusCode.Internal, $"{_method.Path}: the request could not be read: {error.Message}", error);
        }
    }

    // UNIMPLEMENTED is what grpc/doc/statuscodes.md gives a request with the wrong number of messages.
    private GrpcException WrongCount(string found) => new(
        GrpcStatusCode.Unimplemented,
        string.Create(CultureInfo.InvariantCulture, $"{_method.Path} takes exactly one request message; the call carried {found}."));
}
