using MigrationD.Protocol.Calls;

namespace MigrationD.Daemon.Source;

/// <summary>The control address of a daemon that an operator wants guests to go to.</summary>
internal static class DestinationAddress
{
    /// <summary>Refuses an address that cannot be dialled, naming what was ordered.</summary>
    /// <exception cref="Refusal">Invalid: it is no HOST:PORT.</exception>
    public static void Check(string order, string address)
    {
        if (!HostAndPort.TryParse(address, out _))
        {
            throw new Refusal(
                Because.Invalid, $"{order}: '{address}' is no destination; give the control address of another daemon as HOST:PORT");
        }
    }
}
