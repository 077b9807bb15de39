namespace MigrationD.Protocol.Pages;

/// <summary>The methods of transport.proto's service PageLanes, and the metadata that says whose lanes they are.</summary>
public static class PageLanePaths
{
    /// <summary>Background pages: PageRun to the destination, PushReport back.</summary>
    public const string Push = "/migrationd.v1.PageLanes/Push";

    /// <summary>Pages that somebody waits for: PageRequest from the destination, PageRun to it.</summary>
    public const string Urgent = "/migrationd.v1.PageLanes/Urgent";

    /// <summary>What is said while the guest stands still: HandoverOrder to the destination, HandoverAnswer back.</summary>
    public const string Handover = "/migrationd.v1.PageLanes/Handover";

    /// <summary>Metadata: the session's id.</summary>
    public const string SessionMetadata = "migrationd-session";

    /// <summary>Metadata: the session's secret, base64.</summary>
    public const string SecretMetadata = "migrationd-secret-bin";

    /// <summary>Metadata of a push lane: which one of the session's it is, in decimal, from 0; 0 when it is absent.</summary>
    public const string LaneMetadata = "migrationd-lane";

    /// <summary>The most push lanes that a session has.</summary>
    public const int MaxPushLanes = 16;
}
