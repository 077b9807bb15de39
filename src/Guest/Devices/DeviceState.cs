using Google.Protobuf;

namespace MigrationD.Guest.Devices;

/// <summary>guest.proto's GuestDeviceState: everything of a paused guest but its memory, a section for each device.</summary>
public static class DeviceState
{
    /// <summary>The version of it that this build writes and reads.</summary>
    public const int Version = 1;

    /// <summary>Reads a message that another host has sent; <paramref name="what"/> it is, the error says.</summary>
    /// <exception cref="GuestStateException">The bytes are no such message.</exception>
    internal static T Parse<T>(MessageParser<T> parser, ReadOnlySpan<byte> bytes, string what)
        where T : IMessage<T>
    {
        try
        {
            return parser.ParseFrom(bytes);
        }
        catch (InvalidProtocolBufferException error)
        {
            throw new GuestStateException($"{what} cannot be read: {error.Message}", error);
        }
    }

    /// <summary>Makes a name that a peer chose fit for an operator who reads it in a log.</summary>
    internal static string Printable(string name) =>
        string.Concat(name.Take(64).Select(c => char.IsAsciiLetterOrDigit(c) || (c is '.' or '-' or '_') ? c : '?'));
}
