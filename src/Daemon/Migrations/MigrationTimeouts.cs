namespace MigrationD.Daemon.Migrations;

/// <summary>How long a migration waits for the other side before it takes it for gone.</summary>
/// <param name="Link">Silence on a connection after which it is lost, and then dialled anew.</param>
/// <param name="Switchover">
/// How long the destination may take to load the device state. The guest stands still meanwhile, and goes on at the source when it is over.
/// </param>
/// <param name="Recovery">How long a lost link is dialled, and waited for, without an operator.</param>
internal sealed record MigrationTimeouts(TimeSpan Link, TimeSpan Switchover, TimeSpan Recovery)
{
    /// <summary>How long a destination is asked again that takes no more guests at the moment.</summary>
    public TimeSpan Queue { get; init; } = TimeSpan.FromMinutes(10);
}
