namespace MigrationD.Protocol.Lanes.Http2;

/// <summary>Frame flags (RFC 9113, section 6). One bit means one thing in one frame type and another in another.</summary>
[Flags]
internal enum FrameFlags : byte
{
    None = 0x0,

    /// <summary>On SETTINGS and PING.</summary>
    Ack = 0x1,

    /// <summary>On DATA and HEADERS.</summary>
    EndStream = 0x1,
    EndHeaders = 0x4,
    Padded = 0x8,
    Priority = 0x20,
}
