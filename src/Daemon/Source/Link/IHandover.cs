using MigrationD.Daemon.Migrations;

namespace MigrationD.Daemon.Source.Link;

/// <summary>What is said to the destination at the switchover, most of it while the guest stands still.</summary>
internal interface IHandover
{
    /// <summary>Tells which pages were written after they were sent. Nothing is pushed until it is answered.</summary>
    /// <exception cref="Refusal">It is refused, or not answered.</exception>
    Task ForgetAsync(IEnumerable<(long First, long Count)> stale, CancellationToken cancellationToken);

    /// <summary>Sends the device state; the answer means that the guest could run there now. Never repeated.</summary>
    /// <exception cref="Refusal">It is refused, or not answered.</exception>
    Task LoadStateAsync(byte[] state, CancellationToken cancellationToken);

    /// <summary>Lets the guest run there. Sent once: when no answer comes, <see cref="IDestination.AskOutcomeAsync"/> finds out.</summary>
    /// <returns>When the answer came, as a timestamp of <see cref="System.Diagnostics.Stopwatch"/>.</returns>
    /// <exception cref="Refusal">It is refused, or not answered.</exception>
    Task<long> RunAsync(CancellationToken cancellationToken);
}

/// <summary>How long the destination may take for what it is told at the switchover.</summary>
/// <param name="Forget">For a message of stale pages, some of which may have to be taken out of huge pages.</param>
/// <param name="LoadState">For loading the device state; after it the guest goes on here.</param>
/// <param name="Run">For saying that the guest runs.</param>
internal sealed record HandoverPatience(TimeSpan Forget, TimeSpan LoadState, TimeSpan Run)
{
    public static HandoverPatience Of(MigrationTimeouts timeouts) =>
        new(TimeSpan.FromSeconds(30), timeouts.Switchover, TimeSpan.FromSeconds(5));
}
