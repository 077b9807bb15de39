using System.Net.Security;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using MigrationD.Daemon.Logging;
using MigrationD.Daemon.Options;
using MigrationD.Daemon.Security;

namespace MigrationD.Daemon.Hosting.Doors;

/// <summary>TLS on a Kestrel's listener, the same at each door that strangers reach.</summary>
internal static class ListenerTls
{
    /// <summary>
    /// Shakes hands with each connection by the certificates and the lists of names that are in force when it comes; plain text where
    /// peers are not authenticated.
    /// </summary>
    /// <param name="listen">The listener.</param>
    /// <param name="security">Who may connect.</param>
    /// <param name="option">The option that the listener comes from; it is named in the log when somebody is refused.</param>
    /// <param name="logging">The daemon's log.</param>
    /// <param name="protocols">What is spoken, the preferred one first.</param>
    public static void Secure(
        this ListenOptions listen, PeerSecurity security, DaemonOptionKey option, ILoggerFactory logging,
        params SslApplicationProtocol[] protocols)
    {
        if (!security.IsOn)
        {
            return;
        }

        ILogger refusals = logging.CreateLogger(DaemonLogging.LanesSource);
        listen.UseHttps(new TlsHandshakeCallbackOptions
        {
            OnConnection = context =>
            {
                SslServerAuthenticationOptions handshake = security.IncomingCalls!.ServerOptions(
                    why => DaemonLog.PeerRefused(refusals, context.Connection.RemoteEndPoint?.ToString() ?? "", option.Flag, why));
                handshake.ApplicationProtocols = [.. protocols];
                return ValueTask.FromResult(handshake);
            },
        });
    }
}
