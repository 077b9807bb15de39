using MigrationD.Protocol.V1;

namespace MigrationD.Protocol.Grpc;

/// <summary>Every method of service Control (protos/migrationd/v1/control.proto).</summary>
public static class ControlMethods
{
    private const string Service = "migrationd.v1.Control";

    /// <summary>Who the daemon is, what it speaks and where other daemons reach it.</summary>
    public static readonly GrpcMethod<GetNodeRequest, Node> GetNode = new(Service, nameof(GetNode));

    /// <summary>The configuration that is in force.</summary>
    public static readonly GrpcMethod<GetConfigRequest, GetConfigResponse> GetConfig = new(Service, nameof(GetConfig));

    /// <summary>Whether the daemon can do its work now.</summary>
    public static readonly GrpcMethod<GetHealthRequest, Health> GetHealth = new(Service, nameof(GetHealth));

    /// <summary>Creates a guest and runs it.</summary>
    public static readonly GrpcMethod<CreateGuestRequest, Guest> CreateGuest = new(Service, nameof(CreateGuest));

    /// <summary>Every guest that the daemon knows.</summary>
    public static readonly GrpcMethod<ListGuestsRequest, ListGuestsResponse> ListGuests = new(Service, nameof(ListGuests));

    /// <summary>One guest by its name.</summary>
    public static readonly GrpcMethod<GetGuestRequest, Guest> GetGuest = new(Service, nameof(GetGuest));

    /// <summary>Stops a guest's vCPUs.</summary>
    public static readonly GrpcMethod<PauseGuestRequest, Guest> PauseGuest = new(Service, nameof(PauseGuest));

    /// <summary>Lets a paused guest run again.</summary>
    public static readonly GrpcMethod<ResumeGuestRequest, Guest> ResumeGuest = new(Service, nameof(ResumeGuest));

    /// <summary>Ends a guest and frees its memory.</summary>
    public static readonly GrpcMethod<DeleteGuestRequest, DeleteGuestResponse> DeleteGuest = new(Service, nameof(DeleteGuest));

    /// <summary>SHA-256 of a paused guest's whole memory.</summary>
    public static readonly GrpcMethod<HashGuestRequest, HashGuestResponse> HashGuest = new(Service, nameof(HashGuest));

    /// <summary>The memory of a guest that stands still, as far as it is here.</summary>
    public static readonly GrpcMethod<DumpGuestRequest, DumpChunk> DumpGuest = new(Service, nameof(DumpGuest), serverStreaming: true);

    /// <summary>What a guest wrote on its serial port, and with follow what it writes from then on, wherever it is.</summary>
    public static readonly GrpcMethod<ReadConsoleRequest, ConsoleChunk> ReadConsole =
        new(Service, nameof(ReadConsole), serverStreaming: true);

    /// <summary>Starts a migration and returns at once.</summary>
    public static readonly GrpcMethod<MigrateRequest, Migration> Migrate = new(Service, nameof(Migrate));

    /// <summary>Every migration that the daemon remembers.</summary>
    public static readonly GrpcMethod<ListMigrationsRequest, ListMigrationsResponse> ListMigrations = new(Service, nameof(ListMigrations));

    /// <summary>One migration by its id.</summary>
    public static readonly GrpcMethod<GetMigrationRequest, Migration> GetMigration = new(Service, nameof(GetMigration));

    /// <summary>A migration as it is now, then whenever it has changed, until its final state.</summary>
    public static readonly GrpcMethod<WatchMigrationRequest, Migration> WatchMigration =
        new(Service, nameof(WatchMigration), serverStreaming: true);

    /// <summary>Ends precopy: the guest switches over now.</summary>
    public static readonly GrpcMethod<StartPostcopyRequest, Migration> StartPostcopy = new(Service, nameof(StartPostcopy));

    /// <summary>Changes limits of a migration that is under way.</summary>
    public static readonly GrpcMethod<SetMigrationRequest, Migration> SetMigration = new(Service, nameof(SetMigration));

    /// <summary>Stops a migration before its switchover.</summary>
    public static readonly GrpcMethod<CancelMigrationRequest, Migration> CancelMigration = new(Service, nameof(CancelMigration));

    /// <summary>Restores the link of a paused migration, now.</summary>
    public static readonly GrpcMethod<RecoverMigrationRequest, Migration> RecoverMigration = new(Service, nameof(RecoverMigration));

    /// <summary>Decides that the other side of a migration is gone for good.</summary>
    public static readonly GrpcMethod<ResolveMigrationRequest, Migration> ResolveMigration = new(Service, nameof(ResolveMigration));

    /// <summary>Moves every guest away, and takes none in any more; says how it goes.</summary>
    public static readonly GrpcMethod<DrainRequest, DrainUpdate> Drain = new(Service, nameof(Drain), serverStreaming: true);

    /// <summary>Takes guests in again.</summary>
    public static readonly GrpcMethod<UndrainRequest, Node> Undrain = new(Service, nameof(Undrain));
}
