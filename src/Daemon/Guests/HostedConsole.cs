using MigrationD.Guest;

namespace MigrationD.Daemon.Guests;

/// <summary>Where the console of one guest is to be read: here, or at the node that the guest has gone to. Guarded by the guest's lock.</summary>
/// <param name="ring">What the guest writes; null when it has no console.</param>
internal sealed class HostedConsole(ConsoleRing? ring)
{
    private ConsoleRing? _ring = ring;
    private IConsoleElsewhere? _elsewhere;
    private long _switchover;
    private CancellationTokenSource _returned = new();

    /// <summary>Whether the guest has a console, wherever it is.</summary>
    public bool Exists { get; } = ring is not null;

    /// <summary>The guest is given away: its console goes on elsewhere.</summary>
    public void GiveAway(IConsoleElsewhere elsewhere)
    {
        _elsewhere = elsewhere;
        _switchover = _ring?.Written ?? 0;
    }

    /// <summary>All of the guest is elsewhere: who has the guest has its console as well.</summary>
    public void LetGo() => _ring = null;

    /// <summary>The guest is back, and with it its console.</summary>
    /// <returns>What tells those who read elsewhere; not to be fired under the lock, as they end on that thread.</returns>
    public CancellationTokenSource Return()
    {
        CancellationTokenSource returned = _returned;
        _returned = new CancellationTokenSource();
        _elsewhere = null;
        return returned;
    }

    /// <summary>Nobody wants to know of the guest any more.</summary>
    /// <returns>As <see cref="Return"/> does.</returns>
    public CancellationTokenSource Forget()
    {
        _elsewhere = null;
        return _returned;
    }

    /// <summary>Where it is to be read now.</summary>
    /// <param name="migration">The migration that holds the guest or took it away; empty when none.</param>
    /// <param name="failure">Why the guest will never write anything again; null when it may.</param>
    /// <param name="isComing">Whether the guest is on its way here.</param>
    public ConsolePlace Place(string migration, string? failure, bool isComing) =>
        new(_ring, _switchover, _elsewhere, migration, failure, isComing, _returned.Token);
}
