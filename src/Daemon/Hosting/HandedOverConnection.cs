using System.IO.Pipelines;
using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;

namespace MigrationD.Daemon.Hosting;

/// <summary>
/// A connection that one server lends to another: the same bytes and the same ends, with features of its own over the first server's, as
/// each server enters its heartbeat and its notices of closing there.
/// </summary>
internal sealed class HandedOverConnection : ConnectionContext
{
    private readonly ConnectionContext _connection;
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>A loan.</summary>
    public HandedOverConnection(ConnectionContext connection)
    {
        _connection = connection;
        Features = new FeatureCollection(connection.Features);
        ConnectionId = connection.ConnectionId;
        Items = connection.Items;
        Transport = connection.Transport;
        ConnectionClosed = connection.ConnectionClosed;
        LocalEndPoint = connection.LocalEndPoint;
        RemoteEndPoint = connection.RemoteEndPoint;
    }

    /// <summary>Ends when the second server gives the connection back.</summary>
    public Task Ended => _ended.Task;

    public override string ConnectionId { get; set; }

    public override IFeatureCollection Features { get; }

    public override IDictionary<object, object?> Items { get; set; }

    public override IDuplexPipe Transport { get; set; }

    public override CancellationToken ConnectionClosed { get; set; }

    public override EndPoint? LocalEndPoint { get; set; }

    public override EndPoint? RemoteEndPoint { get; set; }

    public override void Abort(ConnectionAbortedException abortReason) => _connection.Abort(abortReason);

    /// <summary>Gives it back: its first server closes it.</summary>
    public override ValueTask DisposeAsync()
    {
        _ended.TrySetResult();
        return default;
    }
}
