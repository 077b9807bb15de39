using System.IO.Pipelines;
using System.Net;
using System.Net.Http.Headers;
using Google.Protobuf;

namespace MigrationD.Protocol.Grpc;

/// <summary>
/// The client's side of one call. Every failure leaves it as a <see cref="GrpcException"/> or as the caller's own cancellation.
/// </summary>
internal sealed class GrpcClientCall<TRequest, TResponse> : IDisposable
    where TRequest : class, IMessage<TRequest>, new()
    where TResponse : class, IMessage<TResponse>, new()
{
    private static readonly TimeSpan LongestTimer = TimeSpan.FromDays(49);

    private readonly HttpMessageInvoker _http;
    private readonly string _scheme;
    private readonly GrpcTarget _target;
    private readonly GrpcMethod<TRequest, TResponse> _method;
    private readonly int _maxResponseBytes;
    private readonly CancellationToken _channelClosed;
    private readonly TimeSpan? _deadline;
    private readonly CancellationToken _cancellation;
    private readonly CancellationTokenSource _expiry = new();
    private readonly CancellationTokenSource _ended;

    private HttpResponseMessage? _response;
    private PipeReader? _body;
    private MessageFrameReader? _reader;
    private bool _endedByHeaders;

    /// <summary>A call whose clock starts now.</summary>
    public GrpcClientCall(
        HttpMessageInvoker http,
        string scheme,
        GrpcTarget target,
        GrpcMethod<TRequest, TResponse> method,
        int maxResponseBytes,
        CancellationToken channelClosed,
        TimeSpan? deadline,
        CancellationToken cancellation)
    {
        _http = http;
        _scheme = scheme;
        _target = target;
        _method = method;
        _maxResponseBytes = maxResponseBytes;
        _channelClosed = channelClosed;
        _deadline = deadline;
        _cancellation = cancellation;
        _ended = CancellationTokenSource.CreateLinkedTokenSource(cancellation, channelClosed, _expiry.Token);
        if (deadline <= TimeSpan.Zero)
        {
            _expiry.Cancel();
        }
        else if (deadline <= LongestTimer)
        {
            _expiry.CancelAfter(deadline.Value);
        }
    }

    private string Call => $"{_method.Path} on {_target.Name}";

    /// <summary>Sends the request and waits for the response's headers.</summary>
    public async Task StartAsync(TRequest request)
    {
        using var message = new HttpRequestMessage(HttpMethod.Post, $"{_scheme}://{_target.Authority}{_method.Path}")
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new MessageContent(request),
        };
        message.Headers.TE.Add(new TransferCodingWithQualityHeaderValue(GrpcProtocol.Trailers));
        message.Headers.Add(GrpcProtocol.AcceptEncodingHeader, GrpcProtocol.Identity);
        if (_deadline is { } deadline)
        {
            message.Headers.Add(GrpcProtocol.TimeoutHeader, GrpcTimeout.Format(deadline));
        }

        try
        {
            _ended.Token.ThrowIfCancellationRequested();
            _response = await _http.SendAsync(message, _ended.Token).ConfigureAwait(false);
            ThrowIfEndedByHeaders(_response);
            _body = PipeReader.Create(await _response.Content.ReadAsStreamAsync(_ended.Token).ConfigureAwait(false));
            _reader = new MessageFrameReader(_body, MessageSide.Response, _method.Path, _maxResponseBytes);
        }
        catch (Exception error) when (Translate(error) is { } translated)
        {
            throw translated;
        }
    }

    /// <summary>The next message; null after the last, once the server has said OK.</summary>
    public async Task<TResponse?> ReadAsync()
    {
        try
        {
            TResponse? message = await _reader!.ReadAsync(_method.ResponseParser, _ended.Token).ConfigureAwait(false);
            if (message is null)
            {
                ThrowUnlessOk(_endedByHeaders ? _response!.Headers : _response!.TrailingHeaders);
            }

            return message;
        }
        catch (Exception error) when (Translate(error) is { } translated)
        {
            throw translated;
        }
    }

    /// <summary>Gives the call up if it has not ended; the server sees the stream reset.</summary>
    public void Dispose()
    {
        _body?.Complete();
        _response?.Dispose();
        _ended.Dispose();
        _expiry.Dispose();
    }

    private void ThrowIfEndedByHeaders(HttpResponseMessage response)
    {
        // A status counts wherever it stands, even next to an HTTP error (grpc/doc/http-grpc-status-mapping.md).
        _endedByHeaders = response.Headers.NonValidated.Contains(GrpcProtocol.StatusHeader);
        if (_endedByHeaders)
        {
            ThrowUnlessOk(response.Headers);
            return;
        }

        string? contentType = response.Content.Headers.NonValidated.TryGetValues("Content-Type", out HeaderStringValues values)
            ? values.ToString()
            : null;
        if (response.StatusCode != HttpStatusCode.OK)
        {
            throw new GrpcException(
                HttpStatusMapping.ToGrpc((int)response.StatusCode),
                $"{Call}: answered with HTTP {(int)response.StatusCode} and no gRPC status; check that a migrationd daemon listens there.");
        }

        if (!GrpcProtocol.IsGrpc(contentType))
        {
            throw new GrpcException(
                GrpcStatusCode.Unknown,
                $"{Call}: answered with content-type '{contentType}', which is not gRPC; check that a migrationd daemon listens there.");
        }
    }

    private void ThrowUnlessOk(HttpResponseHeaders trailers)
    {
        if (!trailers.NonValidated.TryGetValues(GrpcProtocol.StatusHeader, out HeaderStringValues status))
        {
            throw new GrpcException(GrpcStatusCode.Internal, $"{Call}: the answer ended without a grpc-status.");
        }

        GrpcStatusCode code = GrpcProtocol.ParseStatus(status.ToString());
        if (code == GrpcStatusCode.Ok)
        {
            return;
        }

        string detail = trailers.NonValidated.TryGetValues(GrpcProtocol.MessageHeader, out HeaderStringValues message)
            ? GrpcStatusMessage.Decode(message.ToString())
            : "";
        throw new GrpcException(
            code,
            detail.Length > 0 ? detail : $"{Call}: ended with grpc-status {status} and no message.");
    }

    // Null for what is not about this call: it leaves as it is.
    private Exception? Translate(Exception error)
    {
        if (error is GrpcException)
        {
            return null;
        }

        if (_cancellation.IsCancellationRequested)
        {
            return new OperationCanceledException($"{Call} was cancelled.", error, _cancellation);
        }

        if (_expiry.IsCancellationRequested)
        {
            return new GrpcException(
                GrpcStatusCode.DeadlineExceeded,
                $"{Call}: no answer within {_deadline!.Value.TotalSeconds:0.###} s.",
                error);
        }

        if (_channelClosed.IsCancellationRequested)
        {
            return new GrpcException(GrpcStatusCode.Cancelled, $"{Call}: the channel was closed here before the answer came.", error);
        }

        for (Exception? cause = error; cause is not null; cause = cause.InnerException)
        {
            switch (cause)
            {
                case GrpcException dial:
                    return new GrpcException(dial.Code, dial.Message, error);
                case HttpProtocolException http2:
                    return new GrpcException(
                        HttpStatusMapping.FromHttp2Error(http2.ErrorCode),
                        $"{Call}: ended by HTTP/2 error 0x{http2.ErrorCode:x}: {http2.Message}",
                        error);
            }
        }

        return error is HttpRequestException or IOException
            ? new GrpcException(GrpcStatusCode.Unavailable, $"{Call}: the connection was lost: {error.GetBaseException().Message}", error)
            : null;
    }

    private sealed class MessageContent : HttpContent
    {
        private readonly IMessage _message;

        public MessageContent(IMessage message)
        {
            _message = message;
            Headers.ContentType = new MediaTypeHeaderValue(GrpcProtocol.ContentType);
        }

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            PipeWriter writer = PipeWriter.Create(stream, new StreamPipeWriterOptions(leaveOpen: true));
            MessageFrame.Write(writer, _message);
            await writer.CompleteAsync().ConfigureAwait(false);
        }

        // gRPC's requests carry no content-length: a length belongs to a message, not to a call.
        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}
