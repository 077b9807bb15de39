namespace MigrationD.Protocol.Lanes.Transport;

/// <summary>What a transport can do without waiting.</summary>
[Flags]
internal enum Readiness
{
    None = 0,
    Readable = 1,
    Writable = 2,
}
