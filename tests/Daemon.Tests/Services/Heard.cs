using System.Threading.Channels;
using Grpc.Core;

namespace MigrationD.Daemon.Tests.Services;

/// <summary>What a caller hears of a stream of answers.</summary>
internal sealed class Heard<T> : IServerStreamWriter<T>
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);

    private readonly Channel<T> _messages = Channel.CreateUnbounded<T>();

    public WriteOptions? WriteOptions { get; set; }

    /// <summary>Whether something has been said that was not listened to.</summary>
    public bool HasMore => _messages.Reader.TryPeek(out _);

    public Task WriteAsync(T message)
    {
        Assert.True(_messages.Writer.TryWrite(message));
        return Task.CompletedTask;
    }

    public Task WriteAsync(T message, CancellationToken cancellationToken) => WriteAsync(message);

    /// <summary>The next message.</summary>
    public Task<T> NextAsync() => _messages.Reader.ReadAsync().AsTask().WaitAsync(Soon);

    /// <summary>All that has been said and was not listened to.</summary>
    public List<T> Rest()
    {
        var rest = new List<T>();
        while (_messages.Reader.TryRead(out T? message))
        {
            rest.Add(message);
        }

        return rest;
    }
}
