using System.Runtime.CompilerServices;
using System.Text;
using MigrationD.Daemon.Guests;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Guests;

/// <summary>The console of a guest at another node, as a test has it: each reading gets what was laid up for it, in order.</summary>
internal sealed class ScriptedElsewhere : IConsoleElsewhere
{
    private readonly Queue<(ConsoleChunk[] Chunks, Refusal? End, bool ForEver)> _readings = new();

    public string Address => "there:1";

    /// <summary>From where on it was read, and whether what comes later was wanted, in order.</summary>
    public List<(long Offset, bool Follow)> Asked { get; } = [];

    /// <summary>Done when a reading that goes on for ever has given all that it has.</summary>
    public TaskCompletionSource Waiting { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public static ConsoleChunk Chunk(ulong offset, string text) =>
        new() { Offset = offset, Data = Google.Protobuf.ByteString.CopyFrom(Encoding.ASCII.GetBytes(text)) };

    /// <summary>The next reading ends after these.</summary>
    public void Then(params ConsoleChunk[] chunks) => _readings.Enqueue((chunks, null, false));

    /// <summary>The next reading is refused after these.</summary>
    public void ThenRefuse(Because why, string message, params ConsoleChunk[] chunks) =>
        _readings.Enqueue((chunks, new Refusal(why, message), false));

    /// <summary>The next reading goes on until nobody wants it any more.</summary>
    public void ThenWait(params ConsoleChunk[] chunks) => _readings.Enqueue((chunks, null, true));

    public async IAsyncEnumerable<ConsoleChunk> ReadConsoleAsync(
        long offset, bool follow, [EnumeratorCancellation] CancellationToken cancel)
    {
        Asked.Add((offset, follow));
        (ConsoleChunk[] chunks, Refusal? end, bool forEver) = _readings.Dequeue();
        foreach (ConsoleChunk chunk in chunks)
        {
            yield return chunk;
        }

        if (forEver)
        {
            Waiting.SetResult();
            await Task.Delay(Timeout.Infinite, cancel);
        }

        if (end is not null)
        {
            throw end;
        }
    }
}
