using Google.Protobuf;
using MigrationD.Guest.Devices;
using MigrationD.Guest.State;
using MigrationD.Guest.Tests.Kinds;

namespace MigrationD.Guest.Tests.Devices;

public sealed class DeviceSetTests
{
    private readonly List<string> _journal = [];

    [Fact]
    public void What_one_set_saves_another_loads_after_all_of_it_was_checked()
    {
        byte[] state = new DeviceSet([Device("disk", value: 7), Device("net", value: 9)]).Save();
        _journal.Clear();
        TestDevice disk = Device("disk");
        TestDevice net = Device("net");
        Action load = new DeviceSet([disk, net]).Check(state);
        Assert.Equal(["disk checked", "net checked"], _journal);
        Assert.Equal(0UL, disk.Value);

        load();
        Assert.Equal(["disk checked", "net checked", "disk loaded", "net loaded"], _journal);
        Assert.Equal((7UL, 9UL), (disk.Value, net.Value));
    }

    [Fact]
    public void Nothing_is_loaded_when_one_device_refuses()
    {
        byte[] state = new DeviceSet([Device("disk", value: 7), Device("net", value: 9)]).Save();
        TestDevice disk = Device("disk");
        var set = new DeviceSet([disk, new TestDevice("net", _journal) { Refused = 9 }]);
        Assert.Contains("'net'", Assert.Throws<GuestStateException>(() => set.Check(state)).Message, StringComparison.Ordinal);
        Assert.Equal(0UL, disk.Value);
    }

    [Fact]
    public void A_section_is_told_by_its_name_wherever_it_is()
    {
        byte[] state = new DeviceSet([Device("disk", value: 7), Device("net", value: 9)]).Save();
        TestDevice disk = Device("disk");
        new DeviceSet([disk, Device("net")]).Check(Scenario.Edit(state, parsed =>
        {
            StateSection first = parsed.Sections[0];
            parsed.Sections.RemoveAt(0);
            parsed.Sections.Add(first);
        }))();
        Assert.Equal(7UL, disk.Value);
    }

    [Fact]
    public void Two_devices_of_one_name_are_a_mistake() =>
        Assert.Throws<ArgumentException>(() => new DeviceSet([Device("disk"), Device("disk")]));

    [Fact]
    public void The_machine_profile_tells_what_does_not_fit_before_anything_is_loaded()
    {
        var here = new DeviceSet([Device("disk"), Device("net"), Device("rng")]);
        MachineProfile profile = new DeviceSet([Device("disk"), new TestDevice("net", _journal, version: 2), Device("fl\noppy")])
            .AddTo(new MachineProfile { Vcpus = 3 });
        Assert.Equal(3U, profile.Vcpus);
        string why = Assert.Throws<GuestStateException>(() => here.RefuseUnlessAlike("g", profile)).Message;
        Assert.StartsWith(
            "this host cannot run guest g: its device 'net' has version 2, here it has version 1, its device 'fl?oppy' is unknown here, "
            + "it has no device 'rng', which it would have here",
            why,
            StringComparison.Ordinal);

        here.RefuseUnlessAlike("g", here.AddTo(profile));
        Assert.Equal(["disk", "net", "rng"], here.AddTo(profile).Devices.Select(device => device.Name));

        // A source from before the profile had devices.
        here.RefuseUnlessAlike("g", new MachineProfile { Vcpus = 3 });
    }

    [Fact]
    public void What_only_one_host_may_have_is_claimed_and_released_once()
    {
        var set = new DeviceSet([Device("disk"), Device("net")]);
        set.Release();
        Assert.Empty(_journal);
        Assert.Null(set.Claim());
        Assert.Null(set.Claim());
        set.Release();
        set.Release();
        Assert.Null(set.Claim());
        Assert.Equal(
            ["disk claimed", "net claimed", "disk released", "net released", "disk claimed", "net claimed"], _journal);
    }

    [Fact]
    public void Who_cannot_claim_all_claims_nothing()
    {
        TestDevice net = Device("net");
        net.Taken = true;
        var set = new DeviceSet([Device("disk"), net, Device("rng")]);
        Assert.Equal("device 'net': another host has the lock", set.Claim());
        Assert.Equal(["disk claimed", "disk released"], _journal);

        net.Taken = false;
        Assert.Null(set.Claim());
        Assert.Equal(["disk claimed", "disk released", "disk claimed", "net claimed", "rng claimed"], _journal);
    }

    private TestDevice Device(string name, ulong value = 0) => new(name, _journal) { Value = value };
}
