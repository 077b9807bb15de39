using MigrationD.Protocol.StateMachines;

namespace MigrationD.Daemon.Logging;

/// <summary>Every event that the daemon logs.</summary>
internal static partial class DaemonLog
{
    [LoggerMessage(1, LogLevel.Information,
        "Node {Node} serves: control {Control}, daemons {Listen}, lanes {Lanes}, guest memory {GuestMemory} bytes")]
    public static partial void Serving(ILogger logger, string node, string control, string listen, string lanes, long guestMemory);

    [LoggerMessage(2, LogLevel.Information, "Node {Node} stops")]
    public static partial void Stopping(ILogger logger, string node);

    [LoggerMessage(3, LogLevel.Warning, "Guest {Guest} ends with this daemon; move guests away before stopping it")]
    public static partial void GuestEndsWithDaemon(ILogger logger, string guest);

    [LoggerMessage(5, LogLevel.Error,
        "Migration {Migration} of guest {Guest} has not ended within the stop timeout and ends with this daemon in state {State}")]
    public static partial void MigrationEndsWithDaemon(ILogger logger, string migration, string guest, string state);

    [LoggerMessage(4, LogLevel.Warning,
        "Threads that answer page faults may not be raised above others, so faults wait longer on a busy host; "
        + "'migrationd doctor' says how to permit it")]
    public static partial void PriorityRefused(ILogger logger);

    [LoggerMessage(6, LogLevel.Warning, "This daemon is made to fail for a test: MIGRATIOND_FAULT is {Fault}")]
    public static partial void FaultInjected(ILogger logger, string fault);

    [LoggerMessage(7, LogLevel.Information,
        "Certificates, lists of names and how many guests may be on their way are read anew; this node's certificates end {ExpiresAt}")]
    public static partial void Reloaded(ILogger logger, DateTime? expiresAt);

    [LoggerMessage(8, LogLevel.Error, "What was to be read anew is wrong, and nothing has changed: {Reason}")]
    public static partial void ReloadRefused(ILogger logger, string reason);

    [LoggerMessage(9, LogLevel.Warning,
        "Refused {Caller} at the control socket: not root, not this daemon's user, not in the socket's group")]
    public static partial void CallerRefused(ILogger logger, string caller);

    [LoggerMessage(18, LogLevel.Warning, "Refused {Peer} at {Option}: {Reason}")]
    public static partial void PeerRefused(ILogger logger, string peer, string option, string reason);

    [LoggerMessage(10, LogLevel.Information, "Guest {Guest} created: {Kind}, {MemoryBytes} bytes, {Vcpus} vCPUs")]
    public static partial void GuestCreated(ILogger logger, string guest, string kind, long memoryBytes, int vcpus);

    [LoggerMessage(11, LogLevel.Information, "Guest {Guest} deleted")]
    public static partial void GuestDeleted(ILogger logger, string guest);

    [LoggerMessage(12, LogLevel.Error, "Guest {Guest}: {Reason}")]
    public static partial void GuestLost(ILogger logger, string guest, string reason);

    [LoggerMessage(13, LogLevel.Warning, "Guest {Guest}: {Reason}")]
    public static partial void GuestEndedByStop(ILogger logger, string guest, string reason);

    [LoggerMessage(14, LogLevel.Warning,
        "Guest {Guest} was to come from {Source} in migration {Migration} when the daemon before this one ended, and is not known to have "
        + "run here: its source has it, and says more")]
    public static partial void ExpectedGuestDidNotCome(ILogger logger, string guest, string source, string migration);

    [LoggerMessage(15, LogLevel.Error,
        "The journal's {File} cannot be read, so what became of a guest that it names is not known: {Reason}. Look at it, and delete it")]
    public static partial void JournalEntryUnreadable(ILogger logger, string file, string reason);

    [LoggerMessage(16, LogLevel.Error,
        "The journal in {Folder} cannot be written: {Reason}. Guests go on, and migrations; but what is lost with this daemon may not be "
        + "reported after it, and no guest is created. It is tried again")]
    public static partial void JournalUnusable(ILogger logger, string folder, string reason);

    [LoggerMessage(17, LogLevel.Information, "The journal in {Folder} is written again, and complete")]
    public static partial void JournalUsable(ILogger logger, string folder);

    [LoggerMessage(19, LogLevel.Warning, "Guest {Guest} comes to this node and replaces what was known of one of that name: {Former}")]
    public static partial void LostGuestReplaced(ILogger logger, string guest, string former);

    [LoggerMessage(20, LogLevel.Information, "Migration {Migration} of guest {Guest}, source: {State} {Reason}")]
    public static partial void SourceEntered(ILogger logger, string migration, string guest, SourceState state, string reason);

    [LoggerMessage(21, LogLevel.Error, "Migration {Migration} of guest {Guest} broke in state {State}")]
    public static partial void MigrationBroke(ILogger logger, Exception error, string migration, string guest, SourceState state);

    [LoggerMessage(23, LogLevel.Warning, "Session {Session}: no answer from {Address}; asking again: {Error}")]
    public static partial void AskingAgain(ILogger logger, string session, string address, string error);

    [LoggerMessage(24, LogLevel.Warning, "Session {Session}: {Address} could not be told that the migration is given up: {Error}")]
    public static partial void AbortUndelivered(ILogger logger, string session, string address, string error);

    [LoggerMessage(25, LogLevel.Information,
        "Migration {Migration} of guest {Guest}: switched over in {DowntimeMs:0.00} ms: pause {PauseMs:0.00}, save {SaveMs:0.00}, "
        + "load {LoadMs:0.00}, run {RunMs:0.00}")]
    public static partial void SwitchedOver(
        ILogger logger, string migration, string guest, double downtimeMs, double pauseMs, double saveMs, double loadMs, double runMs);

    [LoggerMessage(29, LogLevel.Information, "Migration {Migration} of guest {Guest}: precopy has ended: {Why}")]
    public static partial void PrecopyEnded(ILogger logger, string migration, string guest, string why);

    [LoggerMessage(40, LogLevel.Information, "Node {Node} takes no guests in any more, and its own are moved to {Peers}")]
    public static partial void DrainBegan(ILogger logger, string node, string peers);

    [LoggerMessage(41, LogLevel.Information, "Node {Node}: nothing more of this drain is begun")]
    public static partial void DrainEnded(ILogger logger, string node);

    [LoggerMessage(42, LogLevel.Information, "Node {Node} takes guests in again")]
    public static partial void Undrained(ILogger logger, string node);

    [LoggerMessage(30, LogLevel.Information, "Migration {Migration} of guest {Guest}, destination: {State} {Reason}")]
    public static partial void DestinationEntered(ILogger logger, string migration, string guest, DestinationState state, string reason);

    [LoggerMessage(35, LogLevel.Error,
        "{Order} of guest {Guest} on the handover lane failed in a way that was not foreseen; the source was told INTERNAL")]
    public static partial void OrderFailed(ILogger logger, Exception error, string order, string guest);

    [LoggerMessage(31, LogLevel.Warning, "A lane from {Peer} was refused: {Reason}")]
    public static partial void LaneRefused(ILogger logger, string peer, string reason);

    [LoggerMessage(32, LogLevel.Warning, "Migration {Migration} of guest {Guest}: lane {Lane} is lost: {Reason}")]
    public static partial void LaneLost(ILogger logger, string migration, string guest, string lane, string reason);

    [LoggerMessage(34, LogLevel.Information, "Guest {Guest}: {Blocks} blocks of 2 MiB that came in pieces are huge pages again")]
    public static partial void HugePagesRestored(ILogger logger, string guest, int blocks);

    [LoggerMessage(33, LogLevel.Error, "Migration {Migration} of guest {Guest}, destination: {Step} failed")]
    public static partial void DestinationStepFailed(ILogger logger, Exception error, string migration, string guest, string step);

    [LoggerMessage(50, LogLevel.Warning, "The service manager at {Socket} is not told what this daemon does: {Reason}")]
    public static partial void ServiceManagerUnreachable(ILogger logger, string socket, string reason);

    [LoggerMessage(51, LogLevel.Error,
        "This daemon has not answered a call of its own at its control socket: {Reason}. After {Seconds} s without an answer the service "
        + "manager ends it")]
    public static partial void OwnCallUnanswered(ILogger logger, string reason, double seconds);

    [LoggerMessage(52, LogLevel.Warning,
        "Figures are not sent to the collector as they should be: {Reason}. Each sending has all of them, and this is said every {Minutes} "
        + "min at most")]
    public static partial void SendingFailed(ILogger logger, string reason, int minutes);

    [LoggerMessage(53, LogLevel.Information, "Node {Node} can be read at {Web}")]
    public static partial void Readable(ILogger logger, string node, string web);
}
