using MigrationD.Protocol.Calls;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Hosting.Systemd;

/// <summary>Asks the daemon for itself as an operator would: a new connection to its control socket, and a call.</summary>
/// <param name="path">The path of the control socket.</param>
internal sealed class ControlSocketProbe(string path)
{
    /// <summary>Returns when the daemon has answered.</summary>
    /// <exception cref="Refusal">It cannot be reached, or answers with an error.</exception>
    public async Task AskAsync(CancellationToken cancellationToken)
    {
        using var channel = CallChannel.Connect("unix:" + path);
        _ = await new Control.ControlClient(channel.Invoker).GetNodeAsync(new GetNodeRequest(), cancellationToken: cancellationToken)
            .ConfigureAwait(false);
    }
}
