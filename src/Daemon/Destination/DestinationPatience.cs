using MigrationD.Daemon.Migrations;

namespace MigrationD.Daemon.Destination;

/// <summary>How long a session waits for its source.</summary>
/// <param name="Lanes">For its lanes, once it is prepared.</param>
/// <param name="Run">For Run, once it has lanes; and anew from LoadState on.</param>
/// <param name="Return">For its return, the link being lost.</param>
internal sealed record DestinationPatience(TimeSpan Lanes, TimeSpan Run, TimeSpan Return)
{
    // Between Prepare and Run lie a dial, a pause and a few kilobytes of device state.
    private static readonly TimeSpan BeforeRun = TimeSpan.FromSeconds(60);

    /// <summary>
    /// What these timeouts mean for it. A source that has lost its last word on the way, or died, leaves a session without lanes that holds
    /// memory and the guest's name. One that lives dials at once, for seconds, and each attempt takes a link timeout at most.
    /// </summary>
    public static DestinationPatience Of(MigrationTimeouts timeouts) => new(4 * timeouts.Link, BeforeRun, timeouts.Recovery);
}
