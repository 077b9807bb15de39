using System.Buffers.Binary;

namespace MigrationD.Protocol.Lanes.Http2;

/// <summary>The nine bytes before every frame (RFC 9113, section 4.1).</summary>
internal readonly record struct FrameHeader(int Length, FrameType Type, FrameFlags Flags, int StreamId)
{
    public const int Size = 9;

    /// <summary>The largest frame that a peer must accept, and the largest here of anything but DATA.</summary>
    public const int DefaultMaxLength = 16 * 1024;

    /// <summary>The largest frame there can be, which lanes announce so that a message is one frame.</summary>
    public const int MaxLength = (1 << 24) - 1;

    public static FrameHeader Parse(ReadOnlySpan<byte> bytes) => new(
        (bytes[0] << 16) | (bytes[1] << 8) | bytes[2],
        (FrameType)bytes[3],
        (FrameFlags)bytes[4],
        (int)(BinaryPrimitives.ReadUInt32BigEndian(bytes[5..]) & 0x7fff_ffff));

    public void Write(Span<byte> into)
    {
        into[0] = (byte)(Length >> 16);
        into[1] = (byte)(Length >> 8);
        into[2] = (byte)Length;
        into[3] = (byte)Type;
        into[4] = (byte)Flags;
        BinaryPrimitives.WriteInt32BigEndian(into[5..], StreamId);
    }

    public bool Has(FrameFlags flag) => (Flags & flag) != 0;
}

/// <summary>Frame types (RFC 9113, section 6).</summary>
internal enum FrameType : byte
{
    Data = 0x0,
    Headers = 0x1,
    Priority = 0x2,
    RstStream = 0x3,
    Settings = 0x4,
    PushPromise = 0x5,
    Ping = 0x6,
    GoAway = 0x7,
    WindowUpdate = 0x8,
    Continuation = 0x9,
}

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

/// <summary>Settings (RFC 9113, section 6.5.2).</summary>
internal enum SettingId : ushort
{
    HeaderTableSize = 0x1,
    EnablePush = 0x2,
    MaxConcurrentStreams = 0x3,
    InitialWindowSize = 0x4,
    MaxFrameSize = 0x5,
    MaxHeaderListSize = 0x6,
}
