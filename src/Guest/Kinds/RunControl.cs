using MigrationD.Guest.Devices;
using MigrationD.Guest.Threads;

namespace MigrationD.Guest.Kinds;

/// <summary>
/// Says in which order the vCPUs and the devices of a guest of any kind run, come to rest, are saved and loaded, and change hosts.
/// <see cref="IGuest"/> says what each of these is.
/// </summary>
internal sealed class RunControl(string guest, VcpuCrew crew, DeviceSet devices)
{
    public void Resume() => crew.Resume(() =>
    {
        ClaimOrFail();
        devices.Resume();
    });

    public void Pause() => crew.Pause(devices.Quiesce);

    public void Release()
    {
        using Lock.Scope still = crew.HoldToGiveAway();
        devices.Release();
    }

    public void Claim()
    {
        using Lock.Scope alone = crew.Hold();
        ClaimOrFail();
    }

    public byte[] SaveState()
    {
        using Lock.Scope still = crew.HoldToSave();
        return devices.Save();
    }

    /// <summary>Loads a state; does <paramref name="before"/> when it has been found good, before any of it is loaded.</summary>
    public void LoadState(ReadOnlySpan<byte> state, Action? before = null)
    {
        using Lock.Scope still = crew.HoldToLoad();
        Action load = devices.Check(state);
        before?.Invoke();
        load();
    }

    private void ClaimOrFail()
    {
        if (devices.Claim() is { } why)
        {
            crew.Fail($"guest {guest} cannot have what it needs of this host: {why}");
        }
    }
}
