using System.Net;
using System.Net.Http.Headers;
using MigrationD.Protocol.Grpc;

namespace MigrationD.Protocol.Tests.Grpc;

/// <summary>Sends what no proper client would, over .NET's HTTP/2, and says what came back.</summary>
internal sealed class RawGrpc : IDisposable
{
    private readonly HttpMessageInvoker _http = new(new SocketsHttpHandler { UseProxy = false });
    private readonly string _authority;

    public RawGrpc(string authority)
    {
        _authority = authority;
    }

    public Task<RawAnswer> PostAsync(string path, byte[] body, Action<HttpRequestMessage>? change = null) =>
        PostAsync(path, new ByteArrayContent(body), change);

    public async Task<RawAnswer> PostAsync(string path, HttpContent body, Action<HttpRequestMessage>? change = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, $"http://{_authority}{path}")
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = body,
        };
        request.Content.Headers.TryAddWithoutValidation("content-type", "application/grpc");
        request.Headers.TE.Add(new TransferCodingWithQualityHeaderValue("trailers"));
        change?.Invoke(request);

        CancellationToken hung = Deadlines.Token();
        using HttpResponseMessage response = await _http.SendAsync(request, hung);
        byte[] answer = await response.Content.ReadAsByteArrayAsync(hung);
        HttpResponseHeaders trailers = response.Headers.Contains("grpc-status") ? response.Headers : response.TrailingHeaders;
        return new RawAnswer(
            (int)response.StatusCode,
            trailers.TryGetValues("grpc-status", out IEnumerable<string>? status) ? GrpcProtocol.ParseStatus(status.Single()) : null,
            trailers.TryGetValues("grpc-message", out IEnumerable<string>? message) ? GrpcStatusMessage.Decode(message.Single()) : "",
            answer);
    }

    public void Dispose() => _http.Dispose();
}

/// <summary>An answer as HTTP saw it; the status is null when it carried none.</summary>
internal sealed record RawAnswer(int HttpStatus, GrpcStatusCode? Status, string Detail, byte[] Body);
