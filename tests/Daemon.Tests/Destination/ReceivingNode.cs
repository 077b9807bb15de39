using Google.Protobuf;
using MigrationD.Daemon.Destination;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Tests.Guests;
using MigrationD.Guest;
using MigrationD.Guest.Devices;
using MigrationD.Guest.Kinds;
using MigrationD.Guest.Memory;
using MigrationD.Protocol.Messages;
using MigrationD.Protocol.V1;
using GuestKind = MigrationD.Guest.GuestKind;
using GuestSpec = MigrationD.Guest.GuestSpec;
using WalkPattern = MigrationD.Guest.WalkPattern;

namespace MigrationD.Daemon.Tests.Destination;

/// <summary>A node that guests may come to, without a listener: the test is the source.</summary>
internal sealed class ReceivingNode : IAsyncDisposable
{
    public const long Size = 2 << 20;

    public ReceivingNode(int limit = 2, int endedKept = 1000)
    {
        Guests = new GuestRegistry(new MemoryBudget(4 * Size), GuestJournal.None, Log);
        var timeouts = new MigrationTimeouts(TimeSpan.FromSeconds(20), TimeSpan.FromSeconds(20), TimeSpan.FromSeconds(20));
        Sessions = new DestinationSessions(
            new DestinationNode(Guests, Migrations, timeouts)
            {
                Name = "beta",
                Logger = Log,
                LaneLogger = LaneLog,
                Register = (memory, _, _) => Registered(memory),
            },
            limit)
        {
            EndedKept = endedKept,
        };
    }

    public RecordedLog Log { get; } = new();

    public RecordedLog LaneLog { get; } = new();

    /// <summary>The memory of each guest that was prepared for, in order.</summary>
    public List<ScriptedMemory> Memories { get; } = [];

    public MigrationLog Migrations { get; } = new();

    public GuestRegistry Guests { get; }

    public DestinationSessions Sessions { get; }

    /// <summary>What a source sends that has a guest of the kind that runs anywhere.</summary>
    public static PrepareRequest Request(string name = "one", string migration = "0123456789ab")
    {
        GuestSpec spec = Spec(name);
        using GuestMemory memory = GuestMemory.Map(Size);
        using IGuest guest = GuestFactory.Create(spec, memory);
        return new PrepareRequest
        {
            ProtocolVersion = ProtocolVersion.Current,
            DeviceStateVersion = DeviceState.Version,
            Guest = GuestMessages.ToMessage(spec),
            RamBlocks = { new RamBlock { Id = "ram", Bytes = (ulong)Size } },
            MachineProfile = ByteString.CopyFrom(guest.MachineProfile()),
            MigrationId = migration,
            SourceNode = "alpha",
            Mode = MigrationMode.Hybrid,
            PushLanes = 1,
            HandoverLane = true,
        };
    }

    /// <summary>What a guest saves of its devices that has not run yet, the same guest as in <see cref="Request"/>.</summary>
    public static byte[] SavedState()
    {
        using GuestMemory memory = GuestMemory.Map(Size);
        using IGuest guest = GuestFactory.Create(Spec("one"), memory);
        return guest.SaveState();
    }

    /// <summary>Gives up whatever has not run here.</summary>
    public async ValueTask DisposeAsync()
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        await Sessions.FinishAsync(deadline.Token);
    }

    private static GuestSpec Spec(string name) => new(name, GuestKind.Workload, Size, 1, 4096 * 16, WalkPattern.Sequential);

    private ScriptedMemory Registered(GuestMemory memory)
    {
        Memories.Add(new ScriptedMemory(memory));
        return Memories[^1];
    }
}
