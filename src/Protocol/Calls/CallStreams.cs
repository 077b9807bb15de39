using System.Runtime.CompilerServices;
using Grpc.Core;

namespace MigrationD.Protocol.Calls;

/// <summary>Makes enumerations of calls that are answered with a stream of messages, and answers calls with enumerations.</summary>
public static class CallStreams
{
    /// <summary>Yields each message as it comes. Leaving the enumeration early gives up the call, as the server sees.</summary>
    /// <param name="call">The call, whose owner the enumeration becomes.</param>
    /// <param name="cancellationToken">Gives the call up.</param>
    /// <exception cref="Refusals.Refusal">The call ended with another status than OK.</exception>
    public static async IAsyncEnumerable<T> ReadToEndAsync<T>(
        this AsyncServerStreamingCall<T> call, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using (call)
        {
            while (await call.ResponseStream.MoveNext(cancellationToken).ConfigureAwait(false))
            {
                yield return call.ResponseStream.Current;
            }
        }
    }

    /// <summary>
    /// Sends a message, unless the call is to end. The library is not given the token: it would reset the stream, and the client would not
    /// hear why.
    /// </summary>
    /// <exception cref="OperationCanceledException">The call is to end.</exception>
    public static Task WriteUntilAsync<T>(this IServerStreamWriter<T> responses, T message, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        return responses.WriteAsync(message, CancellationToken.None).WaitAsync(cancellationToken);
    }

    /// <summary>Sends each message at once, until there are no more or nobody listens; then the enumeration is disposed of.</summary>
    public static async Task SendAllAsync<T>(this IServerStreamWriter<T> responses, IAsyncEnumerable<T> messages, ServerCallContext context)
    {
        CancellationToken cancellationToken = context.CancellationToken;
        await foreach (T message in messages.WithCancellation(cancellationToken).ConfigureAwait(false))
        {
            await responses.WriteUntilAsync(message, cancellationToken).ConfigureAwait(false);
        }

        cancellationToken.ThrowIfCancellationRequested();
    }
}
