using System.Security.Cryptography;
using Google.Protobuf;
using MigrationD.Guest.Programs.Pulse;
using MigrationD.Guest.State;

namespace MigrationD.Guest.Tests.Kinds;

/// <summary>Steps that tests of both kinds of guest take.</summary>
internal static class Scenario
{
    public static GuestSpec Spec(
        GuestKind kind, WalkPattern pattern = WalkPattern.Sequential, int vcpus = 2, long memoryMiB = 8, long workingSetMiB = 4) =>
        new("test", kind, memoryMiB << 20, vcpus, workingSetMiB << 20, pattern);

    /// <summary>Lets a guest run until it has visited every page from now on.</summary>
    public static void RunOverEveryPage(IGuest guest)
    {
        // The pass that is under way, and a whole one after it.
        long sweeps = guest.Report().Sweeps;
        guest.Resume();
        TestPages.AssertEventually(
            () => guest.Failure is not null || guest.Report().Sweeps >= sweeps + 2, $"two passes after {sweeps}, now {guest.Report()}");
        Assert.Null(guest.Failure);
        Assert.True(guest.IsRunning);
    }

    public static GuestMemory CopyOf(GuestMemory memory)
    {
        GuestMemory copy = GuestMemory.Map(memory.Length);
        byte[] block = new byte[GuestPage.BlockSize];
        for (long offset = 0; offset < memory.Length; offset += block.Length)
        {
            memory.Read(offset, block);
            copy.Write(offset, block);
        }

        return copy;
    }

    public static string Hash(GuestMemory memory)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] block = new byte[GuestPage.BlockSize];
        for (long offset = 0; offset < memory.Length; offset += block.Length)
        {
            memory.Read(offset, block);
            hash.AppendData(block);
        }

        return Convert.ToHexString(hash.GetHashAndReset());
    }

    /// <summary>A page that no vCPU works on: those of a sequential walk are behind the cursor.</summary>
    public static long IdlePage(IGuest guest, byte[] state)
    {
        var layout = new PulseLayout(guest.Spec);
        long cursor = guest.Spec.Kind == GuestKind.Kvm
            ? ReadWord(guest.Memory, layout.BlockOffset(0) + VcpuBlock.Cursor)
            : (long)Section(state, "walkers", WalkersState.Parser).Walkers[0].Cursor;
        return layout.ShareStart(0) + ((cursor + 10) % layout.SharePages(0));
    }

    public static long ReadWord(GuestMemory memory, long offset)
    {
        Span<byte> word = stackalloc byte[8];
        memory.Read(offset, word);
        return BitConverter.ToInt64(word);
    }

    public static void AddToWord(GuestMemory memory, long offset, long difference) =>
        memory.Write(offset, BitConverter.GetBytes(ReadWord(memory, offset) + difference));

    public static T Section<T>(byte[] state, string name, MessageParser<T> parser)
        where T : IMessage<T>
        => parser.ParseFrom(GuestDeviceState.Parser.ParseFrom(state).Sections.Single(section => section.Name == name).Payload);

    public static byte[] Edit(byte[] state, Action<GuestDeviceState> edit)
    {
        GuestDeviceState parsed = GuestDeviceState.Parser.ParseFrom(state);
        edit(parsed);
        return parsed.ToByteArray();
    }

    public static byte[] Edit<T>(byte[] state, string name, MessageParser<T> parser, Action<T> edit)
        where T : IMessage<T>
        => Edit(state, parsed =>
        {
            StateSection section = parsed.Sections.Single(section => section.Name == name);
            T payload = parser.ParseFrom(section.Payload);
            edit(payload);
            section.Payload = payload.ToByteString();
        });
}
