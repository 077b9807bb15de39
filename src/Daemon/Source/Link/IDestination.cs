using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Source.Push;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Source.Link;

/// <summary>The destination as the source's engine talks to it: one session of one daemon.</summary>
internal interface IDestination : IHandover, IConsoleElsewhere, IDisposable
{
    /// <summary>
    /// Where the session was last found to be known: only a daemon that is asked there can say that it does not have the guest. At any
    /// other address is somebody who cannot know.
    /// </summary>
    string Home { get; }

    /// <summary>Dials another address from now on.</summary>
    void MoveTo(string address);

    /// <summary>
    /// Asks the destination to make everything ready. A request <paramref name="again"/>, after a lost link, replaces what the first one
    /// prepared, and is dialled as long as any lost link is.
    /// </summary>
    Task<PrepareResponse> PrepareAsync(PrepareRequest request, bool again, CancellationToken cancellationToken);

    /// <summary>Opens the first lanes of a session, so many of them for the push; tries again for a while.</summary>
    Task<ISourceLanes> OpenLanesAsync(PrepareResponse prepared, int push, OutgoingMemory outgoing, CancellationToken cancellationToken);

    /// <summary>
    /// Restores the link: asks which pages the destination holds and opens new lanes, so many of them for the push, until both have been
    /// done. Gives null when the destination holds every page.
    /// </summary>
    /// <exception cref="Refusal">NotFound, NotNow or Gone: the destination answers, and does not have the guest.</exception>
    Task<ISourceLanes?> RecoverAsync(int push, Func<RecoverResponse, OutgoingMemory> outgoing, CancellationToken cancellationToken);

    /// <summary>Asks whether the guest ever ran there, until there is an answer.</summary>
    Task<Outcome> AskOutcomeAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Asks once, at <see cref="Home"/>, what the destination knows of the guest; on a new connection, as the old one may be dead.
    /// </summary>
    Task<DestinationWord> AskOnceAsync(CancellationToken cancellationToken);

    /// <summary>Ends when the destination holds every page; asked again when the control connection breaks meanwhile.</summary>
    Task<CompleteResponse> CompleteAsync(CancellationToken cancellationToken);

    /// <summary>Tells the destination to forget the session, if it can be told; it finds out by itself otherwise.</summary>
    Task TryAbortAsync(string reason);
}

/// <summary>What a destination says when it is asked once whether it has the guest.</summary>
internal enum DestinationWord
{
    /// <summary>It has the guest.</summary>
    HasGuest,

    /// <summary>It answers, where the guest was last known to be, and does not have it: the process that ran it has ended.</summary>
    KnowsNothing,

    /// <summary>It does not answer.</summary>
    Silent,
}
