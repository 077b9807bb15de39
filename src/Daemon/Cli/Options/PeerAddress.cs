using System.CommandLine.Parsing;
using MigrationD.Protocol.Calls;

namespace MigrationD.Daemon.Cli.Options;

/// <summary>The address of another daemon on the command line.</summary>
internal static class PeerAddress
{
    /// <summary>Adds an error for each of the option's values that is not HOST:PORT.</summary>
    public static void Check(OptionResult result)
    {
        foreach (var token in result.Tokens.Where(token => !HostAndPort.TryParse(token.Value, out _)))
        {
            result.AddError($"{result.Option.Name} {token.Value}: must be HOST:PORT with a port from 1 to 65535, e.g. 10.0.0.6:7461 "
                + "or [::1]:7461");
        }
    }
}
