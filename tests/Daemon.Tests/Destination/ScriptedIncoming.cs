using MigrationD.Daemon.Destination;
using MigrationD.Daemon.Migrations;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Destination;

/// <summary>A guest on its way in without a machine, memory or lanes: keeps what its session does with it, and fails where a test says so.</summary>
internal sealed class ScriptedIncoming : IIncomingGuest
{
    private readonly Lock _lock = new();
    private readonly List<string> _calls = [];

    public event Action<string, Exception>? LaneLost;

    public event Action? LanesOpened;

    public event Action? AllPagesReceived;

    public PageCompression Compression => PageCompression.Zstd;

    public bool HasHandoverLane => true;

    public bool HasPrecopy { get; init; }

    public long PagesTotal => 512;

    public long PagesReceived { get; set; } = 12;

    /// <summary>What is done instead of loading; throws where it cannot be loaded.</summary>
    public Action OnLoad { get; set; } = () => { };

    /// <summary>What is done instead of settling.</summary>
    public Action OnSettle { get; set; } = () => { };

    /// <summary>Discarding ends with this.</summary>
    public Task Discarding { get; set; } = Task.CompletedTask;

    /// <summary>Closing the lanes ends with this.</summary>
    public Task Closing { get; set; } = Task.CompletedTask;

    /// <summary>What deleting the guest means, once it is lost.</summary>
    public Func<Task>? Forgetting { get; private set; }

    /// <summary>On which thread the guest was let run.</summary>
    public Thread? ArrivedOn { get; private set; }

    /// <summary>What was done with it, in order.</summary>
    public IReadOnlyList<string> Calls
    {
        get
        {
            lock (_lock)
            {
                return [.. _calls];
            }
        }
    }

    public void LoseLane(string lane, string how) => LaneLost?.Invoke(lane, new IOException(how));

    public void OpenLanes() => LanesOpened?.Invoke();

    public void ReceiveAll()
    {
        PagesReceived = PagesTotal;
        AllPagesReceived?.Invoke();
    }

    public byte[] ReceivedBitmap() => [0xff, 0x0f];

    public LiveFigures Figures() => new(1000, PagesReceived, null);

    public RamMap Map() => new([(int)PagesReceived], "p");

    public void Serve(LaneCall call, IHandoverTarget target) => Note("serve");

    public void Forget(IReadOnlyList<ulong> staleRuns) => Note($"forget {string.Join(' ', staleRuns)}");

    public Task OnLoader(Action load) => Task.Run(load);

    public void BeginLoading() => Note("begin loading");

    public void Load(ReadOnlyMemory<byte> state)
    {
        Note("load");
        OnLoad();
    }

    public void Arrive()
    {
        ArrivedOn = Thread.CurrentThread;
        Note("arrive");
    }

    public Task CloseLanesAsync(string reason)
    {
        Note($"close lanes: {reason}");
        return Closing;
    }

    public Task SettleAsync()
    {
        Note("settle");
        OnSettle();
        return Task.CompletedTask;
    }

    public void Lose(string reason, Func<Task> forget)
    {
        Forgetting = forget;
        Note($"lose: {reason}");
    }

    public void Revive() => Note("revive");

    public Task CloseAsync()
    {
        Note("close");
        return Task.CompletedTask;
    }

    public Task DiscardAsync(string reason)
    {
        Note($"discard: {reason}");
        return Discarding;
    }

    private void Note(string call)
    {
        lock (_lock)
        {
            _calls.Add(call);
        }
    }
}
