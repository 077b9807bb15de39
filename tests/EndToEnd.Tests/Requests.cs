using MigrationD.Protocol.V1;

namespace MigrationD.EndToEnd.Tests;

/// <summary>Requests as a real source sends them.</summary>
internal static class Requests
{
    private const ulong Memory = 16 << 20;

    /// <summary>A workload guest of 16 MiB with one vCPU.</summary>
    public static PrepareRequest Prepare(string guest, string migration) => new()
    {
        ProtocolVersion = 1,
        Guest = new GuestSpec
        {
            Name = guest,
            Kind = GuestKind.Workload,
            MemoryBytes = Memory,
            Vcpus = 1,
            WorkingSetBytes = 4 << 20,
            Pattern = WalkPattern.Sequential,
        },
        RamBlocks = { new RamBlock { Id = "ram", Bytes = Memory } },
        DeviceStateVersion = 1,
        MachineProfile = Google.Protobuf.ByteString.CopyFrom(Profile),
        SourceNode = "test",
        MigrationId = migration,
        RunOnArrival = true,
    };

    // guest.proto's MachineProfile { vcpus: 1 }.
    private static byte[] Profile => [0x08, 0x01];
}
