using MigrationD.EndToEnd.Tests;
using MigrationD.Protocol.V1;

namespace MigrationD.Benchmarks.Peers;

/// <summary>In which way QEMU moves a guest, and over what.</summary>
/// <param name="Mode">
/// Post-copy from the first page that QEMU lets it; precopy until it converges; or precopy with post-copy from its second pass on, as
/// <c>virsh migrate --postcopy-after-precopy</c> orders it.
/// </param>
internal sealed record QemuCourse(MigrationMode Mode)
{
    // virsh orders post-copy when it is told of the second pass.
    private const long PassOfSwitchover = 2;

    // The most that QEMU takes: 2000 s.
    private const long AnyDowntimeMilliseconds = 2_000_000;

    /// <summary>
    /// After so many passes pure precopy moves the guest, however long its last pages take; 0 is never before it converges.
    /// </summary>
    public int MaxPasses { get; init; }

    /// <summary>Two hosts, the source on the first; null is loopback.</summary>
    public NetworkPair? Network { get; init; }

    /// <summary>Where the destination listens.</summary>
    public string Address => Network?.Two.Address ?? "127.0.0.1";

    /// <summary>What both QEMUs must be capable of: for post-copy everything that makes it faster.</summary>
    public IReadOnlyList<string> Capabilities => Mode == MigrationMode.Precopy
        ? ["events"]
        : ["events", "postcopy-ram", "postcopy-preempt", "postcopy-blocktime"];

    /// <summary>Tells the source what it shall do from its start on.</summary>
    public async Task StartedAsync(QemuProcess source, CancellationToken cancellation)
    {
        if (Mode == MigrationMode.Postcopy)
        {
            await source.ExecuteAsync("migrate-start-postcopy", null, cancellation);
        }
    }

    /// <summary>Tells the source what it shall do, now that it begins a pass over the memory.</summary>
    /// <param name="source">Who.</param>
    /// <param name="pass">From 1 on.</param>
    public async Task PassBeginsAsync(QemuProcess source, long pass, CancellationToken cancellation)
    {
        if (Mode == MigrationMode.Hybrid && pass == PassOfSwitchover)
        {
            await source.ExecuteAsync("migrate-start-postcopy", null, cancellation);
        }
        else if (Mode == MigrationMode.Precopy && MaxPasses != 0 && pass == MaxPasses + 1)
        {
            await source.ExecuteAsync("migrate-set-parameters", new() { ["downtime-limit"] = AnyDowntimeMilliseconds }, cancellation);
        }
    }
}
