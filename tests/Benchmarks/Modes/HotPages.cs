using MigrationD.Benchmarks.Migrate;
using MigrationD.Guest.Programs.Pulse;

namespace MigrationD.Benchmarks.Modes;

/// <summary>How uneven the zipf walk of a guest with one vCPU is.</summary>
internal sealed class HotPages
{
    // One step of so many belongs to the sweep, which treats all pages alike.
    private const double Swept = 1.0 / Walk.SweepEvery;

    private readonly int[] _draws;
    private readonly long _pages;

    public HotPages(MigrationCase guest)
    {
        _pages = new PulseLayout(guest.PlainSpec("zipf")).SharePages(0);
        _draws = [.. ZipfTable.Create(_pages).CountBy(page => page).Select(page => page.Value).OrderDescending()];
    }

    /// <summary>The share of all pages that the law ever draws; the rest are the sweep's alone.</summary>
    public double Drawn => (double)_draws.Length / _pages;

    /// <summary>The share of the guest's steps that go to this share of its pages, the hottest.</summary>
    public double StepsTo(double share) =>
        ((double)_draws.Take((int)(_pages * share)).Sum() / ZipfTable.Entries * (1 - Swept)) + (share * Swept);
}
