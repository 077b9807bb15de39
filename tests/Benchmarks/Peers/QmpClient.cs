using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using MigrationD.Benchmarks.Report;

namespace MigrationD.Benchmarks.Peers;

/// <summary>QEMU's monitor: one JSON object a line, commands answered in order, events in between (QEMU's qmp-spec).</summary>
internal sealed class QmpClient : IAsyncDisposable
{
    private readonly NetworkStream _stream;
    private readonly StreamReader _reader;
    private readonly ConcurrentQueue<TaskCompletionSource<JsonNode>> _pending = new();
    private readonly Channel<JsonObject> _events = Channel.CreateUnbounded<JsonObject>();
    private readonly string _name;
    private readonly Task _reading;

    /// <summary>A monitor whose connection is this socket, owned from now on.</summary>
    /// <param name="name">What errors call this QEMU.</param>
    public QmpClient(string name, Socket socket)
    {
        _name = name;
        _stream = new NetworkStream(socket, ownsSocket: true);
        _reader = new StreamReader(_stream);
        _reading = ReadAsync();
    }

    /// <summary>Runs a command.</summary>
    /// <returns>What it returns; an empty object for most.</returns>
    /// <exception cref="BenchmarkException">QEMU refuses it, or has ended.</exception>
    public async Task<JsonNode> ExecuteAsync(string command, JsonObject? arguments, CancellationToken cancellation)
    {
        var request = new JsonObject { ["execute"] = command };
        if (arguments is not null)
        {
            request["arguments"] = arguments;
        }

        var answer = new TaskCompletionSource<JsonNode>(TaskCreationOptions.RunContinuationsAsynchronously);
        _pending.Enqueue(answer);
        JsonNode reply;
        try
        {
            await _stream.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(request), cancellation);
            reply = await answer.Task.WaitAsync(cancellation);
        }
        catch (IOException error)
        {
            throw new BenchmarkException($"{_name} has ended before {command}: {error.Message}");
        }

        return reply["error"] is { } refusal
            ? throw new BenchmarkException($"{_name} refuses {command}: {refusal["desc"]}")
            : reply["return"]!;
    }

    /// <summary>Runs a command that needs no arguments.</summary>
    public Task<JsonNode> ExecuteAsync(string command, CancellationToken cancellation) => ExecuteAsync(command, null, cancellation);

    /// <summary>Waits for the next event, of whatever kind.</summary>
    public async Task<JsonObject> EventAsync(CancellationToken cancellation)
    {
        try
        {
            return await _events.Reader.ReadAsync(cancellation);
        }
        catch (ChannelClosedException)
        {
            throw new BenchmarkException($"{_name} has ended while an event was waited for");
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stream.DisposeAsync();
        await _reading;
        _reader.Dispose();
    }

    [SuppressMessage("Design", "CA1031", Justification = "Whatever ends the reading ends every wait, with its reason.")]
    private async Task ReadAsync()
    {
        Exception end = new IOException("the monitor's connection was closed");
        try
        {
            while (await _reader.ReadLineAsync() is { } line)
            {
                var message = (JsonObject)JsonNode.Parse(line)!;
                if (message.ContainsKey("event"))
                {
                    _events.Writer.TryWrite(message);
                }
                else if (!message.ContainsKey("QMP") && _pending.TryDequeue(out TaskCompletionSource<JsonNode>? answer))
                {
                    answer.TrySetResult(message);
                }
            }
        }
        catch (Exception error)
        {
            end = new IOException(error.Message, error);
        }

        _events.Writer.TryComplete();
        while (_pending.TryDequeue(out TaskCompletionSource<JsonNode>? answer))
        {
            answer.TrySetException(end);
        }
    }
}
