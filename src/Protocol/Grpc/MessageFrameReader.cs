using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using Google.Protobuf;

namespace MigrationD.Protocol.Grpc;

/// <summary>Reads length-prefixed messages off a body and refuses what is wrong with a status that says what that is.</summary>
internal sealed class MessageFrameReader
{
    private readonly PipeReader _input;
    private readonly MessageSide _side;
    private readonly string _path;
    private readonly int _maxMessageBytes;

    /// <summary>A reader of the messages of one call's one direction.</summary>
    /// <param name="input">The body.</param>
    /// <param name="side">Whose messages they are.</param>
    /// <param name="path">The method's path, for errors.</param>
    /// <param name="maxMessageBytes">The largest message accepted.</param>
    public MessageFrameReader(PipeReader input, MessageSide side, string path, int maxMessageBytes)
    {
        _input = input;
        _side = side;
        _path = path;
        _maxMessageBytes = Math.Min(maxMessageBytes, int.MaxValue - MessageFrame.PrefixBytes);
    }

    /// <summary>The next message; null when the body ended after a whole number of them.</summary>
    /// <exception cref="GrpcException">Compressed, too large, truncated, or not <typeparamref name="T"/>.</exception>
    public async ValueTask<T?> ReadAsync<T>(MessageParser<T> parser, CancellationToken cancellation)
        where T : class, IMessage<T>
    {
        ReadOnlySequence<byte> buffer = await FillAsync(MessageFrame.PrefixBytes, cancellation).ConfigureAwait(false);
        if (buffer.IsEmpty)
        {
            _input.AdvanceTo(buffer.End);
            return null;
        }

        if (buffer.Length < MessageFrame.PrefixBytes)
        {
            throw new GrpcException(
                _side.Malformed,
                $"{_path}: the {_side.Noun} ended after {buffer.Length} of the {MessageFrame.PrefixBytes} bytes before a message.");
        }

        int length = ReadLength(buffer);
        long whole = MessageFrame.PrefixBytes + (long)length;
        if (buffer.Length < whole)
        {
            // Nothing consumed, everything examined: the pipe keeps the bytes and the peer may send on.
            _input.AdvanceTo(buffer.Start, buffer.End);
            buffer = await FillAsync((int)whole, cancellation).ConfigureAwait(false);
            if (buffer.Length < whole)
            {
                long came = buffer.Length - MessageFrame.PrefixBytes;
                throw new GrpcException(
                    _side.Malformed,
                    $"{_path}: the {_side.Noun} is cut off: {came} of the {length} bytes that its prefix announces.");
            }
        }

        ReadOnlySequence<byte> payload = buffer.Slice(MessageFrame.PrefixBytes, length);
        T message = Parse(parser, payload);
        _input.AdvanceTo(payload.End);
        return message;
    }

    private async ValueTask<ReadOnlySequence<byte>> FillAsync(int bytes, CancellationToken cancellation)
    {
        ReadResult result = await _input.ReadAtLeastAsync(bytes, cancellation).ConfigureAwait(false);
        return result.Buffer;
    }

    private int ReadLength(in ReadOnlySequence<byte> buffer)
    {
        Span<byte> prefix = stackalloc byte[MessageFrame.PrefixBytes];
        buffer.Slice(0, MessageFrame.PrefixBytes).CopyTo(prefix);
        uint length = BinaryPrimitives.ReadUInt32BigEndian(prefix[1..]);
        return prefix[0] switch
        {
            0 when length <= _maxMessageBytes => (int)length,
            0 => throw new GrpcException(
                GrpcStatusCode.ResourceExhausted,
                $"{_path}: a {_side.Noun} message of {length} bytes is over the limit of {_maxMessageBytes}."),
            1 => throw new GrpcException(
                _side.Compressed,
                $"{_path}: the {_side.Noun} message is compressed, which is not supported; send it with grpc-encoding: identity."),
            byte flag => throw new GrpcException(
                _side.Malformed,
                $"{_path}: the {_side.Noun} message begins with flag {flag}; only 0 (uncompressed) and 1 (compressed) exist."),
        };
    }

    private T Parse<T>(MessageParser<T> parser, in ReadOnlySequence<byte> payload)
        where T : class, IMessage<T>
    {
        try
        {
            return parser.ParseFrom(payload);
        }
        catch (InvalidProtocolBufferException error)
        {
            throw new GrpcException(
                _side.Malformed,
                $"{_path}: {payload.Length} bytes of {_side.Noun} are not a {typeof(T).Name}: {error.Message}",
                error);
        }
    }
}
