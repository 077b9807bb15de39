using System.Net;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using MigrationD.Daemon.Security;

namespace MigrationD.Daemon.Hosting.Doors;

/// <summary>Where other daemons come in, and which of them may.</summary>
/// <param name="Listen">Adds the control listener to a Kestrel, with TLS as <paramref name="Security"/> wants it.</param>
/// <param name="Lanes">Where lanes come in.</param>
/// <param name="Limits">What others can make this daemon hold.</param>
/// <param name="Security">Who may send guests.</param>
internal sealed record PeerAccess(Action<KestrelServerOptions> Listen, IPEndPoint Lanes, PeerLimits Limits, PeerSecurity Security);
