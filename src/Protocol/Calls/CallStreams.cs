using System.Runtime.CompilerServices;
using Grpc.Core;

namespace MigrationD.Protocol.Calls;

/// <summary>Calls that are answered with a stream of messages, as the enumerations that both sides work with.</summary>
public static class CallStreams
{
    /// <summary>Yields each message as it comes. Leaving the enumeration early gives the call up, and the server's handler sees that.</summary>
    /// <param name="call">The call, whose owner the enumeration becomes.</param>
    /// <param name="cancellationToken">Gives the call up.</param>
    /// <typeparam name="T">Each answer's message.</typeparam>
    /// <exception cref="Refusals.Refusal">The call ended with another status than OK.</exception>
    public static async IAsyncEnumerable<T> ReadToEndAsync<T>(
        this AsyncServerStreamingCall<T> call, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(call);
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
    public static Task WriteUntilAsync<T>(this IServerStreamWriter<T> responses, T message, CancellationToken ended)
    {
        ArgumentNullException.ThrowIfNull(responses);
        ended.ThrowIfCancellationRequested();
        return responses.WriteAsync(message, CancellationToken.None).WaitAsync(ended);
    }

    /// <summary>Sends each message at once, until there are no more or nobody listens.</summary>
    /// <param name="responses">Where to.</param>
    /// <param name="messages">What; the enumeration is disposed of when the call ends.</param>
    /// <param name="context">The call.</param>
    /// <typeparam name="T">Each answer's message.</typeparam>
    public static async Task SendAllAsync<T>(this IServerStreamWriter<T> responses, IAsyncEnumerable<T> messages, ServerCallContext context)
    {
        ArgumentNullException.ThrowIfNull(responses);
        ArgumentNullException.ThrowIfNull(messages);
        ArgumentNullException.ThrowIfNull(context);
        CancellationToken ended = context.CancellationToken;
        await foreach (T message in messages.WithCancellation(ended).ConfigureAwait(false))
        {
            await responses.WriteUntilAsync(message, ended).ConfigureAwait(false);
        }

        ended.ThrowIfCancellationRequested();
    }
}
