using Google.Protobuf;

namespace MigrationD.Guest.Devices;

/// <summary>guest.proto's GuestDeviceState: everything of a paused guest but its memory, a section for each device.</summary>
public static class DeviceState
{
    /// <summary>The version of it that this build writes and reads.</summary>
    public const int Version = 1;

    /// <summary>Reads a message that another host has sent.</summary>
    /// <param name="parser">The message's parser.</param>
    /// <param name="bytes">The message, serialized.</param>
    /// <param name="what">What it is, for the error.</param>
    /// <exception cref="GuestStateException">It is none.</exception>
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

    /// <summary>A name that a peer chose, for an operator who reads it in a log.</summary>
    internal static string Printable(string name) =>
        string.Concat(name.Take(64).Select(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_' ? c : '?'));
}
