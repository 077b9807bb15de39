using Google.Protobuf;
using MigrationD.Guest.State;

namespace MigrationD.Guest;

/// <summary>Collects the sections of a device state.</summary>
internal sealed class DeviceStateWriter
{
    private readonly GuestDeviceState _state = new() { Version = GuestFactory.DeviceStateVersion };

    /// <summary>Adds a device's section.</summary>
    public void Add(string name, uint version, IMessage payload) =>
        _state.Sections.Add(new StateSection { Name = name, Version = version, Payload = payload.ToByteString() });

    /// <summary>The state, serialized.</summary>
    public byte[] ToArray() => _state.ToByteArray();
}
