using System.Buffers;
using System.IO.Pipelines;
using FsCheck;
using FsCheck.Fluent;
using Google.Protobuf;
using MigrationD.Protocol.Grpc;
using MigrationD.Protocol.V1;

namespace MigrationD.Protocol.Tests.Grpc;

public sealed class MessageFrameTests
{
    private const int Limit = 64 * 1024;

    [Fact]
    public void Messages_arrive_whatever_pieces_their_bytes_come_in() =>
        Prop.ForAll(
            Gen.Choose(0, 3000).ListOf().ToArbitrary(),
            Gen.Choose(1, 2000).NonEmptyListOf().ToArbitrary(),
            (lengths, pieces) =>
            {
                GetGuestRequest[] sent =
                    [.. lengths.Select((length, i) => new GetGuestRequest { Name = new string((char)('a' + (i % 26)), length) })];
                Assert.Equal(sent, ReadAll(Frame(sent), pieces));
            }).QuickCheckThrowOnFailure();

    [Fact]
    public void Bytes_that_end_early_are_refused_at_every_length()
    {
        byte[] whole = Frame([new GetGuestRequest { Name = "guest" }]);
        for (int length = 1; length < whole.Length; length++)
        {
            GrpcException error = Assert.Throws<GrpcException>(() => ReadAll(whole[..length], [1]));
            Assert.Equal(GrpcStatusCode.InvalidArgument, error.Code);
            string where = length < MessageFrame.PrefixBytes ? $"after {length} of the 5" : $"{length - MessageFrame.PrefixBytes} of the 7";
            Assert.Contains($"{where} bytes", error.Message, StringComparison.Ordinal);
        }

        Assert.Empty(ReadAll([], [1]));
        Assert.Single(ReadAll(whole, [1]));
    }

    [Fact]
    public async Task Length_over_the_limit_is_refused_before_any_of_its_bytes_came()
    {
        var pipe = new Pipe();
        await pipe.Writer.WriteAsync(new byte[] { 0, 0, 1, 0, 1 });
        var reader = new MessageFrameReader(pipe.Reader, MessageSide.Request, "/s/m", Limit);
        GrpcException error = await Assert.ThrowsAsync<GrpcException>(
            async () => await reader.ReadAsync(GetGuestRequest.Parser, Deadlines.Token()));
        Assert.Equal(GrpcStatusCode.ResourceExhausted, error.Code);
        Assert.Equal($"/s/m: a request message of {Limit + 1} bytes is over the limit of {Limit}.", error.Message);
    }

    [Fact]
    public async Task Largest_limit_does_not_overflow()
    {
        var pipe = new Pipe();
        await pipe.Writer.WriteAsync(new byte[] { 0, 0xff, 0xff, 0xff, 0xff });
        var reader = new MessageFrameReader(pipe.Reader, MessageSide.Request, "/s/m", int.MaxValue);
        GrpcException error = await Assert.ThrowsAsync<GrpcException>(
            async () => await reader.ReadAsync(GetGuestRequest.Parser, Deadlines.Token()));
        Assert.Equal(GrpcStatusCode.ResourceExhausted, error.Code);
    }

    private static byte[] Frame(IEnumerable<IMessage> messages)
    {
        var bytes = new ArrayBufferWriter<byte>();
        foreach (IMessage message in messages)
        {
            MessageFrame.Write(bytes, message);
        }

        return bytes.WrittenSpan.ToArray();
    }

    private static List<GetGuestRequest> ReadAll(byte[] bytes, IReadOnlyList<int> pieces)
    {
        var input = PipeReader.Create(new PiecewiseStream(bytes, pieces), new StreamPipeReaderOptions(bufferSize: 16, minimumReadSize: 1));
        var reader = new MessageFrameReader(input, MessageSide.Request, "/s/m", Limit);
        var messages = new List<GetGuestRequest>();

        // The stream has all its bytes at hand, so every read has completed when it returns.
        while (reader.ReadAsync(GetGuestRequest.Parser, CancellationToken.None).AsTask().GetAwaiter().GetResult() is { } message)
        {
            messages.Add(message);
        }

        return messages;
    }

    /// <summary>Hands its bytes out in pieces of the given lengths, over and over.</summary>
    private sealed class PiecewiseStream(byte[] bytes, IReadOnlyList<int> pieces) : Stream
    {
        private int _position;
        private int _piece;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override int Read(Span<byte> buffer)
        {
            int length = Math.Min(Math.Min(pieces[_piece++ % pieces.Count], buffer.Length), bytes.Length - _position);
            bytes.AsSpan(_position, length).CopyTo(buffer);
            _position += length;
            return length;
        }

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            new(Read(buffer.Span));

        public override void Flush() => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
