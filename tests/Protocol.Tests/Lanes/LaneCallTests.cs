using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using MigrationD.Protocol.Grpc;
using MigrationD.Protocol.Grpc.Lanes;

namespace MigrationD.Protocol.Tests.Lanes;

/// <summary>Both ends are ours: messages, ends, statuses and failures.</summary>
public sealed class LaneCallTests
{
    private static void Echo(LaneCall call)
    {
        call.Accept();
        while (call.TryReadMessage(out int length))
        {
            var message = new byte[length];
            call.Read(message);
            call.Write(message);
        }
    }

    private static byte[] ReadWhole(LaneCall call)
    {
        Assert.True(call.TryReadMessage(out int length));
        var message = new byte[length];
        call.Read(message);
        return message;
    }

    private static byte[] Pattern(int seed, int length)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    [Fact]
    public void Messages_of_every_size_come_back_whole()
    {
        using var fixture = new LaneFixture(Echo);
        LaneCall call = fixture.Open();
        LaneFixture.Wait(LaneFixture.Run(() =>
        {
            foreach (int size in (int[])[0, 1, 4, 5, 100, 114, 115, 128, 129, 4096, 16384, 65536, 262_144, 2 * 1024 * 1024])
            {
                byte[] sent = Pattern(size, size);
                call.Write(sent);
                Assert.Equal(sent, ReadWhole(call));
            }

            call.FinishWriting();
            Assert.False(call.TryReadMessage(out _));
            Assert.False(call.TryReadMessage(out _));
        }));
    }

    [Fact]
    public unsafe void Head_and_native_payload_are_one_message()
    {
        using var fixture = new LaneFixture(Echo);
        LaneCall call = fixture.Open();
        byte[] payload = Pattern(7, 300_000);
        var native = (byte*)NativeMemory.Alloc((nuint)payload.Length);
        try
        {
            Marshal.Copy(payload, 0, (nint)native, payload.Length);
            LaneFixture.Wait(LaneFixture.Run(() =>
            {
                call.Write([1, 2, 3], new NativeBuffer((nint)native, payload.Length));
                Assert.Equal([1, 2, 3, .. payload], ReadWhole(call));
                call.Write([], new NativeBuffer((nint)native, 10));
                Assert.Equal(payload[..10], ReadWhole(call));
            }));
        }
        finally
        {
            NativeMemory.Free(native);
        }
    }
}
