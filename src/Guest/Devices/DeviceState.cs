namespace MigrationD.Guest.Devices;

/// <summary>guest.proto's GuestDeviceState: everything of a paused guest but its memory, a section for each device.</summary>
public static class DeviceState
{
    /// <summary>The version of it that this build writes and reads.</summary>
    public const int Version = 1;
}
