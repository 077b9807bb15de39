using System.Net;
using System.Threading.Channels;
using Microsoft.AspNetCore.Connections;

namespace MigrationD.Daemon.Hosting;

/// <summary>Where a Kestrel gets its connections when another one, which has accepted them, hands them over.</summary>
internal sealed class HandoverListener : IConnectionListenerFactory, IConnectionListener
{
    // No bound of its own: what is in it is held by the first server, which bounds its connections.
    private readonly Channel<HandedOverConnection> _handedOver = Channel.CreateUnbounded<HandedOverConnection>();

    /// <summary>The address to have a Kestrel listen on whose transport this is; nobody can dial it.</summary>
    public static EndPoint Address { get; } = new InProcess();

    EndPoint IConnectionListener.EndPoint => Address;

    /// <summary>Hands a connection over, and waits until the other server is done with it. At once when that has stopped.</summary>
    public Task HandOverAsync(ConnectionContext connection)
    {
        var handed = new HandedOverConnection(connection);
        return _handedOver.Writer.TryWrite(handed) ? handed.Ended : Task.CompletedTask;
    }

    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default) => new(this);

    public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
    {
        while (await _handedOver.Reader.WaitToReadAsync(cancellationToken).ConfigureAwait(false))
        {
            if (_handedOver.Reader.TryRead(out HandedOverConnection? connection))
            {
                return connection;
            }
        }

        return null;
    }

    public ValueTask UnbindAsync(CancellationToken cancellationToken = default)
    {
        _handedOver.Writer.TryComplete();
        return default;
    }

    /// <summary>Gives back what was handed over and never accepted.</summary>
    public async ValueTask DisposeAsync()
    {
        _handedOver.Writer.TryComplete();
        while (_handedOver.Reader.TryRead(out HandedOverConnection? connection))
        {
            await connection.DisposeAsync().ConfigureAwait(false);
        }
    }

    private sealed class InProcess : EndPoint
    {
        public override string ToString() => "http://in-process";
    }
}
