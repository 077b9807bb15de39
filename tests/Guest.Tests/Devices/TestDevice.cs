using MigrationD.Guest.Devices;
using MigrationD.Guest.State;

namespace MigrationD.Guest.Tests.Devices;

/// <summary>A device that writes down what is done to it; its section is one number.</summary>
internal sealed class TestDevice(string name, List<string> journal, uint version = 1)
    : Device<VcpuReport>(name, version, VcpuReport.Parser)
{
    public ulong Value { get; set; }

    public ulong? Refused { get; init; }

    public bool Restless { get; set; }

    public bool Taken { get; set; }

    public override void Quiesce()
    {
        journal.Add($"{Name} quiet");
        if (Restless)
        {
            throw new IOException("requests do not end");
        }
    }

    public override void Resume() => journal.Add($"{Name} works");

    public override void Release() => journal.Add($"{Name} released");

    public override void Claim()
    {
        if (Taken)
        {
            throw new IOException("another host has the lock");
        }

        journal.Add($"{Name} claimed");
    }

    protected override VcpuReport Save()
    {
        journal.Add($"{Name} saved");
        return new VcpuReport { Steps = Value };
    }

    protected override void Check(VcpuReport state)
    {
        journal.Add($"{Name} checked");
        if (state.Steps == Refused)
        {
            throw new GuestStateException($"section '{Name}' has {state.Steps} in it");
        }
    }

    protected override void Load(VcpuReport state)
    {
        journal.Add($"{Name} loaded");
        Value = state.Steps;
    }
}
