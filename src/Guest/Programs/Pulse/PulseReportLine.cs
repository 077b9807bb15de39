using System.Buffers.Text;

namespace MigrationD.Guest.Programs.Pulse;

/// <summary>
/// What a vCPU of the KVM guest says about itself, as a line on the serial port:
/// <c>pulse vcpu=0 steps=1f4 sweeps=2 corrupt=0 gap=a3c1</c>, all numbers in hexadecimal, the gap in TSC ticks.
/// </summary>
internal readonly record struct PulseReportLine(long VcpuNumber, long StepCount, long SweepCount, long CorruptCount, long GapTicks)
{
    public const string Vcpu = "pulse vcpu=";
    public const string Steps = " steps=";
    public const string Sweeps = " sweeps=";
    public const string Corrupt = " corrupt=";
    public const string Gap = " gap=";

    /// <summary>The longest line that a vCPU can write, without its end; more is no report.</summary>
    public const int MaxLength = 128;

    /// <summary>Reads a line without its end. No allocation: it runs on a vCPU's thread.</summary>
    public static bool TryParse(ReadOnlySpan<byte> line, out PulseReportLine report)
    {
        report = default;
        if (!TryReadField(ref line, "pulse vcpu="u8, out long vcpu) ||
            !TryReadField(ref line, " steps="u8, out long steps) ||
            !TryReadField(ref line, " sweeps="u8, out long sweeps) ||
            !TryReadField(ref line, " corrupt="u8, out long corrupt) ||
            !TryReadField(ref line, " gap="u8, out long gap) ||
            !line.IsEmpty)
        {
            return false;
        }

        report = new PulseReportLine(vcpu, steps, sweeps, corrupt, gap);
        return true;
    }

    private static bool TryReadField(ref ReadOnlySpan<byte> line, ReadOnlySpan<byte> label, out long value)
    {
        value = 0;
        if (!line.StartsWith(label) ||
            !Utf8Parser.TryParse(line[label.Length..], out value, out int consumed, 'x') ||
            value < 0)
        {
            return false;
        }

        line = line[(label.Length + consumed)..];
        return true;
    }
}
