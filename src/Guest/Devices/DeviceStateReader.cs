using Google.Protobuf;
using MigrationD.Guest.State;

namespace MigrationD.Guest.Devices;

/// <summary>
/// The sections of a device state from another host. It knows which sections there must be, refuses by name what is unknown, missing
/// or of another version, and so does nothing by halves: everything is checked before the first device is loaded.
/// </summary>
internal sealed class DeviceStateReader
{
    private readonly Dictionary<string, StateSection> _sections = [];

    /// <summary>Reads a serialized state that has exactly these sections.</summary>
    /// <param name="state">guest.proto's GuestDeviceState.</param>
    /// <param name="expected">Name and version of each section.</param>
    /// <exception cref="GuestStateException">It does not.</exception>
    public DeviceStateReader(ReadOnlySpan<byte> state, IReadOnlyDictionary<string, uint> expected)
    {
        GuestDeviceState parsed = Parse(GuestDeviceState.Parser, state, "the device state");
        if (parsed.Version != DeviceState.Version)
        {
            throw new GuestStateException(
                $"the device state has version {parsed.Version}, this host reads version {DeviceState.Version}; " +
                "run the same release of migrationd on both hosts");
        }

        foreach (StateSection section in parsed.Sections)
        {
            if (!expected.TryGetValue(section.Name, out uint version))
            {
                throw new GuestStateException(
                    $"the device state has a section '{Printable(section.Name)}' that this host or this guest does not know");
            }

            if (section.Version != version)
            {
                throw new GuestStateException(
                    $"section '{section.Name}' of the device state has version {section.Version}, this host reads version {version}");
            }

            if (!_sections.TryAdd(section.Name, section))
            {
                throw new GuestStateException($"the device state has section '{section.Name}' twice");
            }
        }

        foreach (string name in expected.Keys)
        {
            if (!_sections.ContainsKey(name))
            {
                throw new GuestStateException($"the device state lacks section '{name}'");
            }
        }
    }

    /// <summary>A section's payload.</summary>
    public T Get<T>(string name, MessageParser<T> parser)
        where T : IMessage<T>
        => Parse(parser, _sections[name].Payload.Span, $"section '{name}' of the device state");

    /// <summary>Parses a message; what it was named is in the error.</summary>
    public static T Parse<T>(MessageParser<T> parser, ReadOnlySpan<byte> bytes, string what)
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

    // A peer chose the name; an operator reads it in a log.
    private static string Printable(string name) =>
        string.Concat(name.Take(64).Select(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_' ? c : '?'));
}

/// <summary>Collects the sections of a device state.</summary>
internal sealed class DeviceStateWriter
{
    private readonly GuestDeviceState _state = new() { Version = DeviceState.Version };

    /// <summary>Adds a device's section.</summary>
    public void Add(string name, uint version, IMessage payload) =>
        _state.Sections.Add(new StateSection { Name = name, Version = version, Payload = payload.ToByteString() });

    /// <summary>The state, serialized.</summary>
    public byte[] ToArray() => _state.ToByteArray();
}
