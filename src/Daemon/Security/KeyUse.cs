namespace MigrationD.Daemon.Security;

/// <summary>What a certificate's key is for: object identifiers of the extended key usage (RFC 5280, 4.2.1.12).</summary>
internal static class KeyUse
{
    /// <summary>For who is dialled.</summary>
    public const string Server = "1.3.6.1.5.5.7.3.1";

    /// <summary>For who dials.</summary>
    public const string Client = "1.3.6.1.5.5.7.3.2";
}
