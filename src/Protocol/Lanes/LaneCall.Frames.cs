using System.Buffers.Binary;
using MigrationD.Protocol.Lanes.Http2;
using MigrationD.Protocol.Lanes.Transport;

namespace MigrationD.Protocol.Lanes;

/// <content>Frames: what the thread that reads does with each.</content>
public sealed partial class LaneCall
{
    private bool _settingsReceived;
    private bool _settingsAcknowledged;
    private int _highestStreamId;

    /// <summary>Reads one frame, or the start of a frame that carries DATA of the call.</summary>
    private void ReadFrame()
    {
        FrameHeader frame = FrameHeader.Parse(_receive.Take(FrameHeader.Size));
        Http2Exception.ThrowIf(
            !_settingsReceived && (frame.Type != FrameType.Settings || frame.Has(FrameFlags.Ack)),
            Http2ErrorCode.ProtocolError,
            $"the first frame is {frame.Type} and not SETTINGS");
        // The big frames that were announced are for DATA; nothing else needs them.
        Http2Exception.ThrowIf(
            frame.Length > FrameHeader.DefaultMaxLength && frame.Type != FrameType.Data,
            Http2ErrorCode.FrameSizeError,
            $"a {frame.Type} frame of {frame.Length} bytes");
        switch (frame.Type)
        {
            case FrameType.Data:
                OnData(frame);
                break;
            case FrameType.Headers:
                OnHeaders(frame);
                break;
            case FrameType.RstStream:
                OnRstStream(frame);
                break;
            case FrameType.Settings:
                OnSettings(frame);
                break;
            case FrameType.Ping:
                OnPing(frame);
                break;
            case FrameType.GoAway:
                OnGoAway(frame);
                break;
            case FrameType.WindowUpdate:
                OnWindowUpdate(frame);
                break;
            case FrameType.PushPromise:
                throw new Http2Exception(Http2ErrorCode.ProtocolError, "PUSH_PROMISE, which is switched off");
            case FrameType.Continuation:
                throw new Http2Exception(Http2ErrorCode.ProtocolError, "CONTINUATION without HEADERS before it");
            default:
                // PRIORITY says nothing to a connection of one stream; types that are not known have to be ignored.
                _budget.Spend(frame.Type);
                _receive.Skip(frame.Length);
                break;
        }
    }

    private void OnData(FrameHeader frame)
    {
        Http2Exception.ThrowIf(
            frame.StreamId == 0 || frame.StreamId > _highestStreamId || (frame.StreamId != _streamId && !_isServer),
            Http2ErrorCode.ProtocolError,
            $"DATA on stream {frame.StreamId}, which is not open");
        GiveBack(0, _connectionWindow.Count(frame.Length));
        if (frame.StreamId != _streamId)
        {
            // It belongs to a call that was refused while its first bytes were on their way.
            _budget.Spend(frame.Type);
            _receive.Skip(frame.Length);
            return;
        }

        Http2Exception.ThrowIf(_remoteEnded, Http2ErrorCode.StreamClosed, $"DATA of {frame.Length} bytes after END_STREAM");
        Http2Exception.ThrowIf(!_isServer && !_accepted, Http2ErrorCode.ProtocolError, "DATA before the response headers");
        GiveBack(_streamId, _streamWindow.Count(frame.Length));
        int length = frame.Length;
        if (frame.Has(FrameFlags.Padded))
        {
            Http2Exception.ThrowIf(length == 0, Http2ErrorCode.FrameSizeError, "DATA too short for its padding");
            _framePadding = _receive.Take(1)[0];
            length--;
            Http2Exception.ThrowIf(
                _framePadding > length, Http2ErrorCode.ProtocolError, $"DATA with {_framePadding} bytes of padding, longer than the frame");
            length -= _framePadding;
        }

        if (frame.Has(FrameFlags.EndStream))
        {
            Http2Exception.ThrowIf(!_isServer, Http2ErrorCode.ProtocolError, "the response ends without trailers, so without a status");
            _endAfterFrame = true;
        }
        else if (length == 0)
        {
            _budget.Spend(frame.Type);
        }

        _frameRemaining = length;
    }

    private void OnHeaders(FrameHeader frame)
    {
        Http2Exception.ThrowIf(
            frame.StreamId % 2 == 0 || (!_isServer && frame.StreamId != _streamId),
            Http2ErrorCode.ProtocolError,
            $"HEADERS on stream {frame.StreamId}");
        bool end = frame.Has(FrameFlags.EndStream);
        List<HeaderField> fields = _headerBlocks.Read(frame);
        if (!_isServer)
        {
            OnResponseHeaders(fields, end);
        }
        else if (_streamId == 0)
        {
            _streamId = _highestStreamId = frame.StreamId;
            _remoteEnded = end;
            OnRequestHeaders(fields);
        }
        else if (frame.StreamId == _streamId)
        {
            Http2Exception.ThrowIf(_remoteEnded || !end, Http2ErrorCode.ProtocolError, "HEADERS inside the request that do not end it");
            _remoteEnded = true;
        }
        else if (frame.StreamId > _highestStreamId)
        {
            // The client may have opened it before it saw that there is one stream only. Refused means: nothing of it was done.
            _budget.Spend(frame.Type);
            _highestStreamId = frame.StreamId;
            var reset = new FrameHeader(4, FrameType.RstStream, FrameFlags.None, frame.StreamId);
            _control.Add(reset, [0, 0, 0, (byte)Http2ErrorCode.RefusedStream]);
        }
        else
        {
            throw new Http2Exception(Http2ErrorCode.StreamClosed, $"HEADERS on stream {frame.StreamId}, which is closed");
        }
    }

    private void OnRstStream(FrameHeader frame)
    {
        RequireLength(frame, 4);
        var code = (Http2ErrorCode)BinaryPrimitives.ReadUInt32BigEndian(_receive.Take(4));
        Http2Exception.ThrowIf(
            frame.StreamId == 0 || frame.StreamId > _highestStreamId,
            Http2ErrorCode.ProtocolError,
            $"RST_STREAM on stream {frame.StreamId}, which is idle");
        if (frame.StreamId != _streamId)
        {
            _budget.Spend(frame.Type);
            return;
        }

        // NO_ERROR after the trailers: the server has all it wants (RFC 9113, section 8.1). The status is what counts.
        if (!_isServer && _remoteEnded && code == Http2ErrorCode.NoError)
        {
            _windows.Close();
            return;
        }

        throw new LaneException(LaneFailure.Reset, $"the peer gave the call up (RST_STREAM {code})");
    }

    private void OnSettings(FrameHeader frame)
    {
        RequireConnection(frame);
        _budget.Spend(frame.Type);
        if (frame.Has(FrameFlags.Ack))
        {
            RequireLength(frame, 0);
            Http2Exception.ThrowIf(
                _settingsAcknowledged, Http2ErrorCode.ProtocolError, "an acknowledgement of SETTINGS that were not sent");
            _settingsAcknowledged = true;
            _decoder.LimitTable(0);
            return;
        }

        Http2Exception.ThrowIf(frame.Length % 6 != 0, Http2ErrorCode.FrameSizeError, $"SETTINGS of {frame.Length} bytes");
        for (int left = frame.Length; left != 0; left -= 6)
        {
            ReadOnlySpan<byte> setting = _receive.Take(6);
            Apply((SettingId)BinaryPrimitives.ReadUInt16BigEndian(setting), BinaryPrimitives.ReadUInt32BigEndian(setting[2..]));
        }

        _settingsReceived = true;
        _control.Add(new FrameHeader(0, FrameType.Settings, FrameFlags.Ack, 0), default);
    }

    private void Apply(SettingId setting, uint value)
    {
        switch (setting)
        {
            case SettingId.EnablePush when value > 1 || (value == 1 && !_isServer):
                throw new Http2Exception(Http2ErrorCode.ProtocolError, $"SETTINGS_ENABLE_PUSH is {value}");
            case SettingId.InitialWindowSize:
                _windows.SetInitialStream(value);
                break;
            case SettingId.MaxFrameSize:
                _windows.SetMaxFrame(value);
                break;
            default:
                // The header table is not used, one stream is always allowed, and what is not known has to be ignored.
                break;
        }
    }

    private void OnPing(FrameHeader frame)
    {
        RequireConnection(frame);
        RequireLength(frame, 8);
        _budget.Spend(frame.Type);
        ReadOnlySpan<byte> payload = _receive.Take(8);
        if (!frame.Has(FrameFlags.Ack))
        {
            _control.Add(new FrameHeader(8, FrameType.Ping, FrameFlags.Ack, 0), payload);
        }
    }

    private void OnGoAway(FrameHeader frame)
    {
        RequireConnection(frame);
        Http2Exception.ThrowIf(frame.Length < 8, Http2ErrorCode.FrameSizeError, $"GOAWAY of {frame.Length} bytes");
        _budget.Spend(frame.Type);
        ReadOnlySpan<byte> payload = _receive.Take(8);
        int lastStream = (int)(BinaryPrimitives.ReadUInt32BigEndian(payload) & 0x7fff_ffff);
        var code = (Http2ErrorCode)BinaryPrimitives.ReadUInt32BigEndian(payload[4..]);
        int debugLength = Math.Min(frame.Length - 8, ReceiveBuffer.Capacity);
        string debug = Printable(_receive.Take(debugLength));
        _receive.Skip(frame.Length - 8 - debugLength);
        if (code != Http2ErrorCode.NoError)
        {
            string why = debug.Length == 0 ? "" : $": {debug}";
            throw new LaneException(LaneFailure.Reset, $"the peer ended the connection (GOAWAY {code}{why})");
        }

        if (!_isServer && lastStream < _streamId)
        {
            throw new LaneException(LaneFailure.Reset, "the peer ended the connection without having looked at the call");
        }
    }

    private void OnWindowUpdate(FrameHeader frame)
    {
        RequireLength(frame, 4);
        int increment = (int)(BinaryPrimitives.ReadUInt32BigEndian(_receive.Take(4)) & 0x7fff_ffff);
        Http2Exception.ThrowIf(increment == 0, Http2ErrorCode.ProtocolError, "WINDOW_UPDATE by 0");
        if (frame.StreamId == 0)
        {
            _windows.GrowConnection(increment);
        }
        else if (frame.StreamId == _streamId)
        {
            _windows.GrowStream(increment);
        }
        else if (frame.StreamId > _highestStreamId)
        {
            throw new Http2Exception(Http2ErrorCode.ProtocolError, $"WINDOW_UPDATE on stream {frame.StreamId}, which is idle");
        }
        else
        {
            _budget.Spend(frame.Type);
        }
    }

    private void GiveBack(int streamId, int increment)
    {
        // The stream needs no more window when this was its last frame, but an update for a closed stream is harmless.
        if (increment != 0)
        {
            _control.AddWindowUpdate(streamId, increment);
        }
    }

    private static void RequireLength(FrameHeader frame, int length) =>
        Http2Exception.ThrowIf(frame.Length != length, Http2ErrorCode.FrameSizeError, $"a {frame.Type} frame of {frame.Length} bytes");

    private static void RequireConnection(FrameHeader frame) =>
        Http2Exception.ThrowIf(frame.StreamId != 0, Http2ErrorCode.ProtocolError, $"a {frame.Type} frame on stream {frame.StreamId}");

    private static string Printable(ReadOnlySpan<byte> bytes) =>
        string.Concat(bytes.ToArray().Select(one => one is >= 0x20 and <= 0x7e ? (char)one : '?'));
}
