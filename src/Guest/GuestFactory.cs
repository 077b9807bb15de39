using MigrationD.Guest.Memory;

namespace MigrationD.Guest;

/// <summary>Makes guests of every kind.</summary>
public static class GuestFactory
{
    /// <summary>The version of guest.proto's GuestDeviceState that this build writes and reads.</summary>
    public const int DeviceStateVersion = 1;

    /// <summary>A new guest: its program is written into <paramref name="memory"/>, its vCPUs stand at its first instruction.</summary>
    public static IGuest Create(GuestSpec spec, GuestMemory memory) => throw new NotImplementedException();

    /// <summary>A guest that is to come from another host: the machine is there, its state and memory are not.</summary>
    /// <exception cref="GuestStateException">This host cannot run it; the message says what it lacks.</exception>
    public static IGuest Incoming(GuestSpec spec, GuestMemory memory, ReadOnlySpan<byte> machineProfile) => throw new NotImplementedException();

    /// <summary>Everything wrong with a specification, in the words of a person who has to mend it; empty when nothing is.</summary>
    public static IReadOnlyList<string> Validate(GuestSpec spec) => throw new NotImplementedException();

    /// <summary>
    /// Runs a small guest of this kind through create, pause, save, load and dispose, so that the first real migration does not
    /// pay for compiling that code. Does nothing harmful where the kind cannot run.
    /// </summary>
    public static void WarmUp(GuestKind kind) => throw new NotImplementedException();
}
