using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Cli;

/// <summary>Messages as a daemon sends them, with a different value in every field.</summary>
internal static class Samples
{
    public static GuestSpec Spec() => new()
    {
        Name = "web",
        Kind = GuestKind.Kvm,
        MemoryBytes = 4096 * 1024,
        Vcpus = 2,
        WorkingSetBytes = 4096 * 768,
        Pattern = WalkPattern.Zipf,
        Content = GuestContent.Random,
    };

    public static Protocol.V1.Guest Guest() => new()
    {
        Spec = Spec(),
        State = GuestState.Running,
        Report = new GuestReport { Steps = 100, Sweeps = 3, CorruptPages = 0, LargestGapUs = 1500 },
    };

    public static Migration Migration(MigrationState state = MigrationState.Completed) => new()
    {
        Id = "m1",
        Guest = "web",
        Role = MigrationRole.Source,
        Peer = "127.0.0.1:7461",
        State = state,
        StartedUnixUs = 1_700_000_000_123_456,
        TotalUs = 2_500_000,
        DowntimeUs = 8_250,
        BytesSent = 4_200_000,
        PagesTotal = 1024,
        PagesReceived = 1024,
        Recoveries = 3,
        PagesLost = 17,
        SetupUs = 210_500,
        DowntimeBytes = 200_000,
        BytesPerSecond = 1_700_000,
        PagesPerSecond = 409.6,
        Mode = MigrationMode.Hybrid,
        Precopy = new PrecopyFigures
        {
            Rounds = 3,
            PagesSent = 1800,
            DirtyPages = 40,
            DirtyPagesPerSecond = 900,
            PagesPerSecond = 1200,
            TimeUs = 2_000_000,
            Bytes = 1_000_000,
            Ended = "what is left takes 8 ms",
        },
        Placement = new PlacementCounters
        {
            PagesUrgent = 24,
            PagesPush = 900,
            PagesZero = 100,
            PagesRedundant = 1,
            Moves4K = 30,
            Moves2M = 2,
            Copies = 4,
            Retries = 5,
            BusyFallbacks = 6,
            BlockSplitsAvoided = 7,
            Ioctls = 8,
            BlocktimeUs = 12_345,
            FaultsRequested = 26,
            PrefetchHits = 9,
            AllVcpusBlocktimeUs = 1_500,
            Vcpus = { new ThreadWaits { Faults = 10, BlocktimeUs = 4_000 }, new ThreadWaits { Faults = 0, BlocktimeUs = 5_000 } },
            OtherThreads = new ThreadWaits { Faults = 11, BlocktimeUs = 3_300 },
            FaultQueue = new LatencySummary { Count = 24, P50 = 5, P90 = 6, P99 = 7, P999 = 8, Max = 9 },
            FaultNetwork = new LatencySummary { Count = 24, P50 = 50, P90 = 60, P99 = 70, P999 = 80, Max = 90 },
            FaultPlace = new LatencySummary { Count = 24, P50 = 2, P90 = 3, P99 = 4, P999 = 5, Max = 6 },
            FaultLatency = new LatencySummary
            {
                Count = 24,
                P50 = 60.5,
                P90 = 90,
                P99 = 200,
                P999 = 300,
                Max = 301,
                Buckets = { 0, 0, 0, 0, 0, 20, 3, 0, 1 },
            },
        },
    };
}
