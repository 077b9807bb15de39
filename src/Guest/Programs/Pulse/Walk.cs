namespace MigrationD.Guest.Programs.Pulse;

/// <summary>
/// The order in which one vCPU visits the pages of its share. A value: a copy is a bookmark. The KVM guest does the same in
/// machine code (<see cref="PulseCode"/>).
/// </summary>
/// <remarks>
/// Uniform and zipf visit by chance, and might never come to some page; so every <see cref="SweepEvery"/>th step goes to the next page of a
/// sequential sweep instead, and every page is visited at least once in <c>16 * pages</c> steps.
/// </remarks>
internal struct Walk
{
    /// <summary>The number of steps of which one belongs to the sweep, a power of two; with pattern sequential all do.</summary>
    public const int SweepEvery = 16;

    // xorshift64 (Marsaglia, "Xorshift RNGs", 2003), triple 13, 7, 17: full period, and three instructions a shift.
    public const int ShiftA = 13;
    public const int ShiftB = 7;
    public const int ShiftC = 17;

    /// <summary>State of the generator; never 0.</summary>
    public ulong Random;

    /// <summary>The next page of the sweep, within the share.</summary>
    public long Cursor;

    /// <summary>Pages visited.</summary>
    public long Steps;

    /// <summary>Whole passes of the sweep.</summary>
    public long Sweeps;

    /// <summary>A walk at its start. Each vCPU draws from another part of the sequence.</summary>
    public static Walk Start(int vcpu) => new() { Random = PulsePage.Golden * (ulong)(vcpu + 1) };

    /// <summary>
    /// Takes a step and says to which of the share's pages, at least 1 and less than 2^32, it goes. <see cref="WalkPattern.Zipf"/> alone
    /// uses the table.
    /// </summary>
    public long Next(WalkPattern pattern, long pages, ReadOnlySpan<uint> zipf)
    {
        bool sweep = pattern == WalkPattern.Sequential || (Steps & (SweepEvery - 1)) == SweepEvery - 1;
        Steps++;
        if (sweep)
        {
            if (Cursor == pages)
            {
                // Here and not when the last page is picked: a pass is whole when that page is done.
                Cursor = 0;
                Sweeps++;
            }

            return Cursor++;
        }

        Random ^= Random << ShiftA;
        Random ^= Random >> ShiftB;
        Random ^= Random << ShiftC;
        return pattern == WalkPattern.Zipf
            ? zipf[(int)(Random >> (64 - ZipfTable.Bits))]
            : (long)((Random >> 32) * (ulong)pages >> 32);
    }
}
