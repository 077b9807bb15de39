namespace MigrationD.Guest.Programs.Pulse;

/// <summary>
/// Offsets inside the page of guest RAM in which a vCPU keeps what it knows: the constants that the host wrote when it created the
/// guest, and the counters. All fields are 64 bits.
/// </summary>
internal static class VcpuBlock
{
    // Constants, in linear addresses and page numbers.
    public const int SharePagesAddress = 0;
    public const int ShareVersionsAddress = 8;
    public const int ShareStart = 16;
    public const int SharePages = 24;
    public const int ZipfTableAddress = 32;
    public const int ReportTicks = 40;
    public const int VcpuNumber = 48;

    // The walk's state.
    public const int Random = 64;
    public const int Cursor = 72;
    public const int Steps = 80;
    public const int Sweeps = 88;

    // What the guest found.
    public const int CorruptPages = 96;
    public const int LargestGap = 104;
    public const int LastSeen = 112;
    public const int LastReport = 120;

    /// <summary>1 + the index of the page that is being written now; 0 when none is.</summary>
    public const int Writing = 128;

    public const int Size = 136;
}
