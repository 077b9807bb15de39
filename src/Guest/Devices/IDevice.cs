using Google.Protobuf;

namespace MigrationD.Guest.Devices;

/// <summary>
/// Something of a machine that has a state of its own, a section in <see cref="DeviceState"/>: a piece of hardware, or what a program on
/// this side keeps about a guest.
/// </summary>
/// <remarks>
/// <para><b>Pause, save, run.</b> <see cref="Quiesce"/> comes after the vCPUs have stopped, and before the last harvest of the
/// dirty log and <see cref="Save"/>: from when it returns until <see cref="Resume"/> the device neither writes guest memory nor interrupts
/// nor begins anything on the host. A new device, and one that state was loaded into, is quiet.</para>
/// <para><b>One owner.</b> What a device has of the host and only one host may have (the lock of a disk, a tap, an address) it has between
/// <see cref="Claim"/> and <see cref="Release"/>: a source releases before it says Run, a destination claims after it heard that, and a
/// source that gets its guest back claims again. A guest that is to come has claimed nothing, and has looked whether it could.</para>
/// <para>Guest memory may be missing, and the thread that touches it waits: only by <see cref="Memory.GuestMemory"/>, and only on a thread
/// that can be taken out of that wait. What a device writes goes by it as well, or precopy would lose it.</para>
/// </remarks>
internal interface IDevice
{
    /// <summary>The name of its section; unlike that of every other device of the guest, and the same for ever.</summary>
    string Name { get; }

    /// <summary>The version of what is in its section, which it writes and reads.</summary>
    uint SectionVersion { get; }

    /// <summary>Comes to rest. Does nothing when it is quiet.</summary>
    /// <exception cref="IOException">It cannot; the guest then goes on where it is.</exception>
    void Quiesce();

    /// <summary>Works from now on; the vCPUs are about to run. Does nothing when it does.</summary>
    void Resume();

    /// <summary>What is in its section. It is quiet.</summary>
    IMessage Save();

    /// <summary>
    /// Looks whether a section can be loaded, changes nothing, and returns what loads it: called when no device has refused its section.
    /// </summary>
    /// <exception cref="GuestStateException">The section cannot be loaded.</exception>
    Action Check(ByteString section);

    /// <summary>Gives back what only one host may have. It is quiet. Cannot fail: what could was done to become quiet.</summary>
    void Release();

    /// <summary>Takes what only one host may have.</summary>
    /// <exception cref="IOException">It is not to be had, and the guest cannot go on.</exception>
    void Claim();
}

/// <summary>A device whose section is a message, and which, as long as nothing else is said, only vCPUs set in motion.</summary>
internal abstract class Device<TState>(string name, uint sectionVersion, MessageParser<TState> parser) : IDevice
    where TState : IMessage<TState>
{
    public string Name { get; } = name;

    public uint SectionVersion { get; } = sectionVersion;

    public virtual void Quiesce()
    {
    }

    public virtual void Resume()
    {
    }

    public virtual void Release()
    {
    }

    public virtual void Claim()
    {
    }

    IMessage IDevice.Save() => Save();

    Action IDevice.Check(ByteString section)
    {
        TState state = DeviceState.Parse(parser, section.Span, $"section '{Name}' of the device state");
        Check(state);
        return () => Load(state);
    }

    protected abstract TState Save();

    /// <exception cref="GuestStateException">The state does not fit.</exception>
    protected virtual void Check(TState state)
    {
    }

    /// <summary>Takes over a state that has been checked.</summary>
    protected abstract void Load(TState state);
}
