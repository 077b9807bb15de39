using Google.Protobuf;

namespace MigrationD.Protocol.Grpc;

/// <summary>One method of a gRPC service: what a server maps and a client calls.</summary>
/// <typeparam name="TRequest">The message a call begins with.</typeparam>
/// <typeparam name="TResponse">The message, or each of the messages, that answer it.</typeparam>
public sealed class GrpcMethod<TRequest, TResponse>
    where TRequest : class, IMessage<TRequest>, new()
    where TResponse : class, IMessage<TResponse>, new()
{
    /// <summary>A method as its service's .proto file declares it.</summary>
    /// <param name="service">Full name of the service, e.g. <c>migrationd.v1.Control</c>.</param>
    /// <param name="name">Name of the method, e.g. <c>Migrate</c>.</param>
    /// <param name="serverStreaming">Whether it is declared to return a stream.</param>
    public GrpcMethod(string service, string name, bool serverStreaming = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(service);
        ArgumentException.ThrowIfNullOrEmpty(name);
        Service = service;
        Name = name;
        Path = $"/{service}/{name}";
        ServerStreaming = serverStreaming;
    }

    /// <summary>Full name of the service, e.g. <c>migrationd.v1.Control</c>.</summary>
    public string Service { get; }

    /// <summary>Name of the method, e.g. <c>Migrate</c>.</summary>
    public string Name { get; }

    /// <summary>What travels in HTTP/2's <c>:path</c>, e.g. <c>/migrationd.v1.Control/Migrate</c>.</summary>
    public string Path { get; }

    /// <summary>Whether any number of messages may answer a call, or exactly one does.</summary>
    public bool ServerStreaming { get; }

    internal MessageParser<TRequest> RequestParser { get; } = new(static () => new TRequest());

    internal MessageParser<TResponse> ResponseParser { get; } = new(static () => new TResponse());
}
