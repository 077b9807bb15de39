using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace MigrationD.Protocol.Grpc;

/// <summary>The last thing a server says on a call.</summary>
internal static class GrpcTrailers
{
    /// <summary>
    /// Puts the status into the trailers or, when nothing was sent yet, into the headers: the response is then one block of headers
    /// that also ends the stream, which gRPC calls Trailers-Only.
    /// </summary>
    public static void Write(HttpResponse response, GrpcStatus status)
    {
        // A unary answer that still sits in the body's buffer has not started either, but its OK must come after its message.
        IHeaderDictionary destination = response.HasStarted || status.Code == GrpcStatusCode.Ok
            ? response.HttpContext.Features.GetRequiredFeature<IHttpResponseTrailersFeature>().Trailers
            : response.Headers;

        destination[GrpcProtocol.StatusHeader] = ((int)status.Code).ToString(CultureInfo.InvariantCulture);
        if (status.Detail.Length > 0)
        {
            destination[GrpcProtocol.MessageHeader] = GrpcStatusMessage.Encode(status.Detail, GrpcProtocol.MaxStatusMessageBytes);
        }
    }
}
