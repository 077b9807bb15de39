using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace MigrationD.Protocol.Lanes.Http2;

/// <summary>The peer broke a rule of HTTP/2 or HPACK: the connection ends with a GOAWAY of this code.</summary>
internal sealed class Http2Exception(Http2ErrorCode code, string message) : Exception(message)
{
    public Http2ErrorCode Code { get; } = code;

    public static void ThrowIf([DoesNotReturnIf(true)] bool broken, Http2ErrorCode code, string message)
    {
        if (broken)
        {
            throw new Http2Exception(code, message);
        }
    }

    public static void ThrowIf(
        [DoesNotReturnIf(true)] bool broken, Http2ErrorCode code, [InterpolatedStringHandlerArgument(nameof(broken))] Text message)
    {
        if (broken)
        {
            throw new Http2Exception(code, message.ToString());
        }
    }

    /// <summary>A message that is only written when a rule is broken: nothing may be allocated for a frame that keeps them.</summary>
    [InterpolatedStringHandler]
    public ref struct Text(int literalLength, int formattedCount, bool broken, out bool isWritten)
    {
        private DefaultInterpolatedStringHandler _text = (isWritten = broken) ? new(literalLength, formattedCount) : default;

        public void AppendLiteral(string value) => _text.AppendLiteral(value);

        public void AppendFormatted<T>(T value) => _text.AppendFormatted(value);

        public override string ToString() => _text.ToStringAndClear();
    }
}

/// <summary>Error codes of RST_STREAM and GOAWAY (RFC 9113, section 7).</summary>
internal enum Http2ErrorCode : uint
{
    NoError = 0x0,
    ProtocolError = 0x1,
    InternalError = 0x2,
    FlowControlError = 0x3,
    SettingsTimeout = 0x4,
    StreamClosed = 0x5,
    FrameSizeError = 0x6,
    RefusedStream = 0x7,
    Cancel = 0x8,
    CompressionError = 0x9,
    ConnectError = 0xa,
    EnhanceYourCalm = 0xb,
    InadequateSecurity = 0xc,
    Http11Required = 0xd,
}
