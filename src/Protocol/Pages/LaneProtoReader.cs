using MigrationD.Protocol.Lanes;

namespace MigrationD.Protocol.Pages;

/// <summary>
/// Reads fields of a protobuf message off a lane, never beyond the message. What is malformed ends the call: a peer that encodes wrongly
/// cannot be trusted with the next message.
/// </summary>
internal ref struct LaneProtoReader(LaneCall call, string message)
{
    private const int VarintType = 0;
    private const int Fixed64Type = 1;
    private const int BytesType = 2;
    private const int Fixed32Type = 5;

    private int _wireType;

    /// <summary>The number of the field whose tag was read last; 0 before the first.</summary>
    public int Field { get; private set; }

    /// <summary>Reads the next field's tag; false at the end of the message.</summary>
    public bool TryReadTag()
    {
        if (call.MessageRemaining == 0)
        {
            return false;
        }

        ulong tag = ReadNumber();
        if (tag > uint.MaxValue || tag >> 3 == 0)
        {
            throw Malformed($"a tag of 0x{tag:x}");
        }

        _wireType = (int)(tag & 7);
        Field = (int)(tag >> 3);
        return true;
    }

    public ulong ReadVarint() => _wireType == VarintType ? ReadNumber() : throw WrongType();

    public uint ReadUInt32()
    {
        ulong value = ReadVarint();
        return value <= uint.MaxValue ? (uint)value : throw Malformed($"field {Field} is {value}, more than 32 bits");
    }

    /// <summary>Reads the length of a field whose bytes are the rest of the message.</summary>
    public int ReadLastBytesLength()
    {
        ulong length = _wireType == BytesType ? ReadNumber() : throw WrongType();
        return length == (ulong)call.MessageRemaining
            ? (int)length
            : throw Malformed(
                $"field {Field} has {length} bytes and {call.MessageRemaining} bytes of the message are left; it has to be the last field");
    }

    /// <summary>Reads over a field that is not known.</summary>
    public void Skip()
    {
        switch (_wireType)
        {
            case VarintType:
                ReadNumber();
                break;
            case Fixed64Type:
                Skip(8);
                break;
            case Fixed32Type:
                Skip(4);
                break;
            case BytesType:
                Skip(ReadNumber());
                break;
            default:
                throw WrongType();
        }
    }

    public LaneException Malformed(string what) => call.Refuse(Because.Invalid, $"a malformed {message}: {what}");

    private LaneException WrongType() => Malformed($"field {Field} has wire type {_wireType}");

    private ulong ReadNumber()
    {
        Span<byte> octet = stackalloc byte[1];
        ulong value = 0;
        for (int shift = 0; shift < 64; shift += 7)
        {
            if (call.MessageRemaining == 0)
            {
                throw Malformed("it ends inside a number");
            }

            call.Read(octet);
            if (shift == 63 && octet[0] > 1)
            {
                break;
            }

            value |= (ulong)(octet[0] & 0x7f) << shift;
            if ((octet[0] & 0x80) == 0)
            {
                return value;
            }
        }

        throw Malformed("a number of more than 64 bits");
    }

    private void Skip(ulong length)
    {
        if (length > (ulong)call.MessageRemaining)
        {
            throw Malformed($"a field of {length} bytes, and {call.MessageRemaining} bytes of the message are left");
        }

        Span<byte> scratch = stackalloc byte[256];
        for (int left = (int)length; left != 0;)
        {
            int part = Math.Min(left, scratch.Length);
            call.Read(scratch[..part]);
            left -= part;
        }
    }
}
