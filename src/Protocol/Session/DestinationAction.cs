namespace MigrationD.Protocol.Session;

/// <summary>What the destination's engine has to do.</summary>
public enum DestinationAction
{
    /// <summary>Load the device state. Ends in Loaded or Failed.</summary>
    LoadState,

    /// <summary>Answer LoadState: the guest could run now.</summary>
    AnswerReady,

    /// <summary>Let the vCPUs run.</summary>
    RunGuest,

    /// <summary>Answer Run or QueryOutcome: the guest is here.</summary>
    AnswerRunning,

    /// <summary>Answer QueryOutcome: the guest never ran here and never will.</summary>
    AnswerNeverStarted,

    /// <summary>Refuse what was asked; it is too late or too early for it.</summary>
    Refuse,

    /// <summary>End all lanes, if they are open, and answer Recover with the received bitmap and the secret for new ones.</summary>
    AnswerReceived,

    /// <summary>Stop the vCPUs, those too that wait for a page, and say how many pages are lost. Memory and registration stay.</summary>
    DeclareLost,

    /// <summary>The source is back after all: take the declaration back and let the vCPUs run.</summary>
    Revive,

    /// <summary>Forget the incoming guest: its machine, its memory, its lanes.</summary>
    Discard,

    /// <summary>Unregister the memory from the userfaultfd and answer Complete.</summary>
    Finish,
}
