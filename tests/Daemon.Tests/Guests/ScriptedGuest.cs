using MigrationD.Guest;
using MigrationD.Guest.Dirty;
using MigrationD.Guest.Memory;

namespace MigrationD.Daemon.Tests.Guests;

/// <summary>A guest without a machine, with memory of its own; keeps what is done with it.</summary>
internal sealed class ScriptedGuest : IGuest
{
    private readonly List<string> _calls = [];

    public ScriptedGuest(string name = "one", bool hasConsole = true, int consoleBytes = 64)
    {
        Spec = JournalSamples.Spec(name);
        Memory = GuestMemory.Map(Spec.MemoryBytes);
        Console = hasConsole ? new ConsoleRing(consoleBytes) : null;
    }

    /// <summary>A guest in memory that somebody else has mapped.</summary>
    public ScriptedGuest(GuestSpec spec, GuestMemory memory)
    {
        Spec = spec;
        Memory = memory;
        Console = new ConsoleRing(64);
    }

    public GuestSpec Spec { get; }

    public GuestMemory Memory { get; }

    public bool IsRunning { get; private set; }

    public string? Failure { get; set; }

    /// <summary>Adds what it has written since the last harvest. Nothing unless a test says otherwise.</summary>
    public Action<PageSet> OnHarvest { get; set; } = _ => { };

    /// <summary>Called before it is let run; throws where that fails.</summary>
    public Action OnResume { get; set; } = () => { };

    public ConsoleRing? Console { get; }

    public IReadOnlyList<int> VcpuThreads => [];

    public long Steps { get; set; }

    /// <summary>What was done with it, in order.</summary>
    public IReadOnlyList<string> Calls => _calls;

    public void Resume()
    {
        _calls.Add("resume");
        OnResume();
        IsRunning = true;
    }

    public void Pause()
    {
        _calls.Add("pause");
        IsRunning = false;
    }

    public void Release() => _calls.Add("release");

    public void Claim() => _calls.Add("claim");

    public byte[] MachineProfile() => [];

    public byte[] SaveState() => [];

    public void LoadState(ReadOnlySpan<byte> state) => _calls.Add("load");

    public IDirtyLog OpenDirtyLog()
    {
        _calls.Add("open dirty log");
        return new DirtyLog(this);
    }

    public GuestReport Report() => new(Steps, 0, 0, TimeSpan.Zero);

    public void Dispose()
    {
        // Its memory outlives it: a machine must not run over memory that is gone.
        Memory.Write(0, [1]);
        _calls.Add("dispose");
        IsRunning = false;
    }

    private sealed class DirtyLog(ScriptedGuest guest) : IDirtyLog
    {
        public bool IsArmed { get; private set; }

        public void Arm()
        {
            guest._calls.Add("arm dirty log");
            IsArmed = true;
        }

        public long Harvest(PageSet into)
        {
            Assert.True(IsArmed);
            guest.OnHarvest(into);
            return into.Count();
        }

        public long HarvestLast(PageSet into) => Harvest(into);

        public void Disarm() => IsArmed = false;

        public void Dispose()
        {
            guest._calls.Add("end dirty log");
            Disarm();
        }
    }
}
