using Google.Protobuf;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Lanes;

/// <summary>Messages of lanes by their generated types, as a peer of another make would send and read them.</summary>
internal static class LaneMessages
{
    /// <summary>Sends one message.</summary>
    public static void Send(this LaneCall call, IMessage message) => call.Write(message.ToByteArray());

    /// <summary>The next message; fails when the lane ends instead.</summary>
    public static T Receive<T>(this LaneCall call)
        where T : IMessage<T>, new()
    {
        Assert.True(call.TryReceive(out T message), $"the lane {call.Path} has ended where a {typeof(T).Name} was to come");
        return message;
    }

    /// <summary>The next message; false when the lane has ended.</summary>
    public static bool TryReceive<T>(this LaneCall call, out T message)
        where T : IMessage<T>, new()
    {
        message = new T();
        if (!call.TryReadMessage(out int length))
        {
            return false;
        }

        byte[] bytes = new byte[length];
        call.Read(bytes);
        message.MergeFrom(bytes);
        return true;
    }

    /// <summary>All messages until the lane ends.</summary>
    public static IReadOnlyList<T> ReceiveAll<T>(this LaneCall call)
        where T : IMessage<T>, new()
    {
        var all = new List<T>();
        while (call.TryReceive(out T message))
        {
            all.Add(message);
        }

        return all;
    }

    /// <summary>What a run of pages is, in short: where it is, and whether it is zeros or a mark.</summary>
    public static string Describe(this PageRun run) =>
        run.Mark != PrecopyMark.None ? $"{run.Mark}" : $"{run.FirstPage}+{run.PageCount}{(run.Zero ? " zeros" : "")}";
}
