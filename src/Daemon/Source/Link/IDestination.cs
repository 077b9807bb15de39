using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Source.Push;
using MigrationD.Protocol.Refusals;
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

    /// <summary>Asks the destination to make everything ready. A repeated request replaces what the first one prepared.</summary>
    /// <param name="request">What is to come.</param>
    /// <param name="again">Whether it has prepared before, and the link was lost: then it is dialled as long as any lost link is.</param>
    /// <param name="cancel">Gives up.</param>
    Task<PrepareResponse> PrepareAsync(PrepareRequest request, bool again, CancellationToken cancel);

    /// <summary>Opens the first lanes of a session; tries again for a while.</summary>
    /// <param name="prepared">The destination's answer to Prepare.</param>
    /// <param name="push">How many push lanes there are to be.</param>
    /// <param name="outgoing">What they send.</param>
    /// <param name="cancel">Gives up.</param>
    Task<ISourceLanes> OpenLanesAsync(PrepareResponse prepared, int push, OutgoingMemory outgoing, CancellationToken cancel);

    /// <summary>
    /// Restores the link: asks which pages the destination holds and opens new lanes, until both have been done.
    /// </summary>
    /// <param name="push">How many push lanes there are to be.</param>
    /// <param name="outgoing">What they send, after what the destination holds.</param>
    /// <param name="cancel">Gives up.</param>
    /// <returns>The lanes, or null when the destination holds every page.</returns>
    /// <exception cref="Refusal">NotFound, NotNow or Gone: the destination answers, and does not have the guest.</exception>
    Task<ISourceLanes?> RecoverAsync(int push, Func<RecoverResponse, OutgoingMemory> outgoing, CancellationToken cancel);

    /// <summary>Asks whether the guest ever ran there, until there is an answer.</summary>
    Task<Outcome> AskOutcomeAsync(CancellationToken cancel);

    /// <summary>
    /// Asks once, at <see cref="Home"/>, what the destination knows of the guest; on a new connection, as the old one may be dead.
    /// </summary>
    Task<DestinationWord> AskOnceAsync(CancellationToken cancel);

    /// <summary>Ends when the destination holds every page; asked again when the control connection breaks meanwhile.</summary>
    Task<CompleteResponse> CompleteAsync(CancellationToken cancel);

    /// <summary>Tells the destination to forget the session, if it can be told; it finds out by itself otherwise.</summary>
    Task TryAbortAsync(string reason);
}
