namespace MigrationD.Protocol.Tests.StateMachines;

/// <summary>What is on its way between the two sides.</summary>
[Flags]
public enum InFlight
{
    None = 0,
    LoadState = 1,
    Ready = 2,
    LoadRefused = 4,
    Run = 8,
    RunAnswer = 16,
    OutcomeQuestion = 32,
    OutcomeRunning = 64,
    OutcomeNeverStarted = 128,

    /// <summary>The destination answers, and knows nothing of the session.</summary>
    Unknown = 256,
    Abort = 512,
    Recover = 1024,

    /// <summary>The received bitmap, with the secret that opens lanes now.</summary>
    RecoverAnswer = 2048,

    /// <summary>The same with a secret that a later answer has replaced.</summary>
    StaleRecoverAnswer = 4096,
    RecoverComplete = 8192,
}
