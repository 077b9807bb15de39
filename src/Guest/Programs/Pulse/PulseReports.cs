using Google.Protobuf;
using MigrationD.Guest.Devices;
using MigrationD.Guest.Devices.Serial;
using MigrationD.Guest.State;

namespace MigrationD.Guest.Programs.Pulse;

/// <summary>
/// The lines that the vCPUs of a pulse guest write on its serial port. They write at the same time, so each has a line of its own, and the
/// console gets whole ones. What a line says of its vCPU is remembered, and moves with the guest, as does the beginning of the next.
/// </summary>
internal sealed class PulseReports(ConsoleRing console, int vcpus)
    : Device<ReportState>("report", sectionVersion: 1, ReportState.Parser), ISerialLine
{
    private readonly VcpuLine[] _lines = [.. Enumerable.Range(0, vcpus).Select(number => new VcpuLine(number))];

    /// <summary>What each vCPU last said about itself, on whatever host.</summary>
    public IEnumerable<PulseReportLine> Last => _lines.Select(line => line.Last);

    public void Send(int vcpu, byte value) => _lines[vcpu].Append(value, console);

    protected override ReportState Save() => new() { Vcpus = { _lines.Select(line => line.Save()) } };

    protected override void Check(ReportState state)
    {
        if (state.Vcpus.Count != _lines.Length)
        {
            throw new GuestStateException($"section '{Name}' is about {state.Vcpus.Count} vCPUs, the guest has {_lines.Length}");
        }

        if (state.Vcpus.Any(report => report.UnfinishedLine.Length >= PulseReportLine.MaxLength))
        {
            throw new GuestStateException($"section '{Name}' has an unfinished line of {PulseReportLine.MaxLength} bytes or more");
        }
    }

    protected override void Load(ReportState state)
    {
        for (int number = 0; number < _lines.Length; number++)
        {
            _lines[number].Load(state.Vcpus[number]);
        }
    }

    private sealed class VcpuLine(int number)
    {
        private readonly Lock _gate = new();
        private readonly byte[] _bytes = new byte[PulseReportLine.MaxLength];
        private int _length;
        private PulseReportLine _last = new(number, 0, 0, 0, 0);

        public PulseReportLine Last
        {
            get
            {
                lock (_gate)
                {
                    return _last;
                }
            }
        }

        public void Append(byte value, ConsoleRing console)
        {
            lock (_gate)
            {
                _bytes[_length++] = value;
                if (value != '\n' && _length < _bytes.Length)
                {
                    return;
                }

                ReadOnlySpan<byte> line = _bytes.AsSpan(0, _length);
                console.Write(line);
                if (PulseReportLine.TryParse(line[..^1], out PulseReportLine report) && report.VcpuNumber == number)
                {
                    _last = report;
                }

                _length = 0;
            }
        }

        public VcpuReport Save()
        {
            lock (_gate)
            {
                return new VcpuReport
                {
                    Steps = (ulong)_last.StepCount,
                    Sweeps = (ulong)_last.SweepCount,
                    CorruptPages = (ulong)_last.CorruptCount,
                    LargestGapTicks = (ulong)_last.GapTicks,
                    UnfinishedLine = ByteString.CopyFrom(_bytes, 0, _length),
                };
            }
        }

        public void Load(VcpuReport report)
        {
            lock (_gate)
            {
                _last = new PulseReportLine(
                    number, (long)report.Steps, (long)report.Sweeps, (long)report.CorruptPages, (long)report.LargestGapTicks);
                report.UnfinishedLine.Span.CopyTo(_bytes);
                _length = report.UnfinishedLine.Length;
            }
        }
    }
}
