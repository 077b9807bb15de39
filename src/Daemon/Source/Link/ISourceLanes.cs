using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Source.Push;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Source.Link;

/// <summary>The lanes of one migration on its source, as the engine uses them.</summary>
internal interface ISourceLanes : IDisposable
{
    /// <summary>Ends, with the cause, when a lane breaks.</summary>
    Task<Exception> Lost { get; }

    /// <summary>The lane for the switchover; null where there is none.</summary>
    IHandover? Handover { get; }

    /// <summary>Which pages have been sent, over these lanes and those before.</summary>
    SentPages Sent { get; }

    /// <summary>What is known of the migration from the lanes.</summary>
    LiveFigures Figures { get; }

    /// <summary>What has been sent so far, over these lanes and those before.</summary>
    RamMap Map();

    /// <summary>
    /// Sends a round of precopy: every page that is not marked as sent, and a mark behind them. Ends when the destination has put all of
    /// them into their places; earlier when <paramref name="mustStop"/>, which any thread asks now and then, says so.
    /// </summary>
    /// <returns>Pages sent.</returns>
    /// <exception cref="LinkLostException">The lanes are lost.</exception>
    Task<long> SendRoundAsync(Func<bool> mustStop, PrecopyMark mark, bool isPaced, CancellationToken cancellationToken);

    /// <summary>Sends a mark alone; ends as <see cref="SendRoundAsync"/> does.</summary>
    Task SendMarkAsync(PrecopyMark mark, CancellationToken cancellationToken);

    /// <summary>
    /// Begins to send pages that are not asked for: the first block now, the rest once <see cref="GuestRuns"/> is said, because until then
    /// they would only take time from what the guest waits for.
    /// </summary>
    void StartPush();

    /// <summary>Sends the rest, as the guest runs on the destination: pages first that it is likely to need, the likeliest first.</summary>
    void GuestRuns(ReadOnlyMemory<long> hottest);

    /// <summary>Closes all lanes and waits until no thread uses the guest's memory any more.</summary>
    Task CloseAsync(bool complete);
}

/// <summary>A page lane broke in precopy.</summary>
internal sealed class LinkLostException(Exception cause) : Exception($"a page lane is lost: {cause.Message}", cause);
