using Google.Protobuf;
using MigrationD.Guest.State;

namespace MigrationD.Guest.Devices;

/// <summary>
/// All devices of a guest. What a section is called, and which version it has, the device itself says: the set writes what they are, and
/// refuses by name what is unknown, missing or of another version, before the first of them is loaded. Used by one thread at a time.
/// </summary>
internal sealed class DeviceSet
{
    private readonly IReadOnlyList<IDevice> _devices;
    private bool _claimed;

    /// <summary>Joins the devices of a guest, in the order in which they are saved and loaded.</summary>
    public DeviceSet(IReadOnlyList<IDevice> devices)
    {
        _devices = devices;
        if (devices.GroupBy(device => device.Name).FirstOrDefault(named => named.Count() > 1) is { } twice)
        {
            throw new ArgumentException($"two devices are called '{twice.Key}'", nameof(devices));
        }
    }

    /// <summary>A profile of a machine that has these devices.</summary>
    public MachineProfile AddTo(MachineProfile machine)
    {
        MachineProfile profile = machine.Clone();
        profile.Devices.Clear();
        profile.Devices.AddRange(_devices.Select(device => new DeviceVersion { Name = device.Name, Version = device.SectionVersion }));
        return profile;
    }

    /// <summary>
    /// Refuses a guest whose machine has other devices than these. Hosts from before the profile had devices name none: what they have is
    /// looked at when it is loaded.
    /// </summary>
    /// <exception cref="GuestStateException">The machine has; the message names all of them.</exception>
    public void RefuseUnlessAlike(string guest, MachineProfile profile)
    {
        if (profile.Devices.Count == 0)
        {
            return;
        }

        var unlike = new List<string>();
        foreach (DeviceVersion wanted in profile.Devices)
        {
            if (_devices.FirstOrDefault(device => device.Name == wanted.Name) is not { } here)
            {
                unlike.Add($"its device '{DeviceState.Printable(wanted.Name)}' is unknown here");
            }
            else if (here.SectionVersion != wanted.Version)
            {
                unlike.Add($"its device '{here.Name}' has version {wanted.Version}, here it has version {here.SectionVersion}");
            }
        }

        unlike.AddRange(_devices.Where(device => profile.Devices.All(wanted => wanted.Name != device.Name))
            .Select(device => $"it has no device '{device.Name}', which it would have here"));
        if (unlike.Count > 0)
        {
            throw new GuestStateException(
                $"this host cannot run guest {guest}: {string.Join(", ", unlike)}; run the same release of migrationd on both hosts");
        }
    }

    /// <exception cref="IOException">One device does not come to rest; the others may be quiet.</exception>
    public void Quiesce()
    {
        foreach (IDevice device in _devices)
        {
            device.Quiesce();
        }
    }

    public void Resume()
    {
        foreach (IDevice device in _devices)
        {
            device.Resume();
        }
    }

    /// <summary>guest.proto's GuestDeviceState, serialized.</summary>
    public byte[] Save()
    {
        var state = new GuestDeviceState { Version = DeviceState.Version };
        foreach (IDevice device in _devices)
        {
            state.Sections.Add(new StateSection
            {
                Name = device.Name, Version = device.SectionVersion, Payload = device.Save().ToByteString(),
            });
        }

        return state.ToByteArray();
    }

    /// <summary>Looks whether a state can be loaded, changes nothing, and returns what loads all of it, device by device.</summary>
    /// <exception cref="GuestStateException">It cannot be loaded.</exception>
    public Action Check(ReadOnlySpan<byte> state)
    {
        GuestDeviceState parsed = DeviceState.Parse(GuestDeviceState.Parser, state, "the device state");
        if (parsed.Version != DeviceState.Version)
        {
            throw new GuestStateException(
                $"the device state has version {parsed.Version}, this host reads version {DeviceState.Version}; " +
                "run the same release of migrationd on both hosts");
        }

        var sections = new Dictionary<string, StateSection>();
        foreach (StateSection section in parsed.Sections)
        {
            if (_devices.FirstOrDefault(device => device.Name == section.Name) is not { } device)
            {
                throw new GuestStateException(
                    $"the device state has a section '{DeviceState.Printable(section.Name)}' that this host or this guest does not know");
            }

            if (section.Version != device.SectionVersion)
            {
                throw new GuestStateException(
                    $"section '{section.Name}' of the device state has version {section.Version}, this host reads version " +
                    $"{device.SectionVersion}");
            }

            if (!sections.TryAdd(section.Name, section))
            {
                throw new GuestStateException($"the device state has section '{section.Name}' twice");
            }
        }

        var loads = new List<Action>(_devices.Count);
        foreach (IDevice device in _devices)
        {
            if (!sections.TryGetValue(device.Name, out StateSection? section))
            {
                throw new GuestStateException($"the device state lacks section '{device.Name}'");
            }

            loads.Add(device.Check(section.Payload));
        }

        return () => loads.ForEach(load => load());
    }

    /// <summary>Lets all devices give back what only one host may have. Does nothing when they have.</summary>
    public void Release()
    {
        if (!_claimed)
        {
            return;
        }

        _claimed = false;
        foreach (IDevice device in _devices)
        {
            device.Release();
        }
    }

    /// <summary>
    /// Lets all devices take what only one host may have, or none; returns why the guest cannot have it, and null when it has.
    /// </summary>
    public string? Claim()
    {
        if (_claimed)
        {
            return null;
        }

        for (int claimed = 0; claimed < _devices.Count; claimed++)
        {
            try
            {
                _devices[claimed].Claim();
            }
            catch (IOException error)
            {
                foreach (IDevice device in _devices.Take(claimed))
                {
                    device.Release();
                }

                return $"device '{_devices[claimed].Name}': {error.Message}";
            }
        }

        _claimed = true;
        return null;
    }
}
