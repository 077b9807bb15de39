using MigrationD.Guest;

namespace MigrationD.Daemon.Guests;

/// <summary>Where the console of a guest is read: here, or at the node that the guest has gone to. Guarded by the guest's lock.</summary>
internal sealed class HostedConsole(ConsoleRing? ring)
{
    private ConsoleRing? _ring = ring;
    private IConsoleElsewhere? _elsewhere;
    private long _switchover;
    private CancellationTokenSource _returned = new();

    /// <summary>Whether the guest has a console, wherever it is.</summary>
    public bool Exists { get; } = ring is not null;

    /// <summary>Lets the console go on elsewhere, as the guest is given away.</summary>
    public void GiveAway(IConsoleElsewhere elsewhere)
    {
        _elsewhere = elsewhere;
        _switchover = _ring?.Written ?? 0;
    }

    /// <summary>Drops what was written here: all of the guest is elsewhere, and who has the guest has its console as well.</summary>
    public void DropRing() => _ring = null;

    /// <summary>Takes the console back with the guest.</summary>
    /// <returns>What tells those who read elsewhere; not to be fired under the lock, as they end on that thread.</returns>
    public CancellationTokenSource Return()
    {
        CancellationTokenSource returned = _returned;
        _returned = new CancellationTokenSource();
        _elsewhere = null;
        return returned;
    }

    /// <summary>Ends the console of a guest that nobody wants to know of any more.</summary>
    /// <returns>As <see cref="Return"/> does.</returns>
    public CancellationTokenSource Forget()
    {
        _elsewhere = null;
        return _returned;
    }

    public ConsolePlace Place(string migration, string? failure, bool isComing) =>
        new(_ring, _switchover, _elsewhere, migration, failure, isComing, _returned.Token);
}
