using MigrationD.Protocol.Lanes;

namespace MigrationD.Daemon.Destination;

/// <summary>One of a session's lanes: the connection that serves as it now, if any. Guarded by its owner's lock.</summary>
internal sealed class LaneSlot(string name)
{
    private TaskCompletionSource _closed = new();
    private LaneCall? _call;
    private Action<string>? _end;
    private long _bytesBefore;

    public string Name => name;

    public bool IsOpen => _call is not null;

    /// <summary>Whether this side has ended the connection that serves as it.</summary>
    public bool IsAborted { get; private set; }

    /// <summary>Ends when no thread serves this lane.</summary>
    public Task WhenClosed => IsOpen ? _closed.Task : Task.CompletedTask;

    /// <summary>Bytes received on all connections that ever were this lane, framing included.</summary>
    public long BytesReceived => _bytesBefore + (_call?.BytesRead ?? 0);

    /// <summary>Makes a connection this lane; <paramref name="end"/> ends it from any thread, with the reason.</summary>
    public void Open(LaneCall call, Action<string> end)
    {
        _call = call;
        _end = end;
        IsAborted = false;
        _closed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    public void Abort(string reason)
    {
        IsAborted = true;
        _end?.Invoke(reason);
    }

    /// <summary>Ends the connection's time as this lane, when the thread that served it is done; another may take its place.</summary>
    public void Close()
    {
        _bytesBefore += _call?.BytesRead ?? 0;
        _call = null;
        _end = null;
        _closed.TrySetResult();
    }
}
