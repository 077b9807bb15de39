using System.Diagnostics;
using System.Net.Sockets;
using MigrationD.Guest.Programs.Pulse;

namespace MigrationD.Benchmarks.Peers;

/// <summary>
/// What one pulse guest says on its serial ports, wherever it runs, with the time at which each line ended. Each port is read by a thread
/// that does nothing else: a line that is late because its reader was would look like a guest that stood still.
/// </summary>
internal sealed class SerialReports : IDisposable
{
    private readonly Lock _gate = new();
    private readonly List<(long Time, PulseReportLine Line)> _reports = [];
    private readonly List<(Socket Socket, Thread Thread)> _ports = [];

    // One for all ports: a migration may come in the middle of a line, and the guest goes on with the rest of it.
    private readonly byte[] _line = new byte[PulseReportLine.MaxLength];
    private int _length;
    private TaskCompletionSource _news = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Reads a port's connection, owned from now on.</summary>
    public void Attach(string name, Socket socket)
    {
        var thread = new Thread(() => Read(socket)) { Name = name, IsBackground = true };
        _ports.Add((socket, thread));
        thread.Start();
    }

    /// <summary>Every report so far, with the time (Stopwatch's ticks) when it was complete.</summary>
    public IReadOnlyList<(long Time, PulseReportLine Line)> All()
    {
        lock (_gate)
        {
            return [.. _reports];
        }
    }

    /// <summary>Waits for a report that is as wanted; only the newest is looked at.</summary>
    public async Task<PulseReportLine> UntilAsync(Func<long, PulseReportLine, bool> wanted, CancellationToken cancellation)
    {
        while (true)
        {
            Task news;
            lock (_gate)
            {
                if (_reports.Count > 0 && wanted(_reports[^1].Time, _reports[^1].Line))
                {
                    return _reports[^1].Line;
                }

                news = _news.Task;
            }

            await news.WaitAsync(cancellation);
        }
    }

    public void Dispose()
    {
        foreach ((Socket socket, Thread thread) in _ports)
        {
            try
            {
                socket.Shutdown(SocketShutdown.Both);
            }
            catch (SocketException)
            {
                // QEMU has closed it already.
            }

            thread.Join();
            socket.Dispose();
        }
    }

    private void Read(Socket socket)
    {
        var buffer = new byte[4096];
        try
        {
            for (int count = socket.Receive(buffer); count > 0; count = socket.Receive(buffer))
            {
                long now = Stopwatch.GetTimestamp();
                lock (_gate)
                {
                    Take(now, buffer.AsSpan(0, count));
                }
            }
        }
        catch (SocketException)
        {
            // The connection is gone; there is nothing more to read.
        }
    }

    private void Take(long now, ReadOnlySpan<byte> text)
    {
        foreach (byte character in text)
        {
            if (character != '\n')
            {
                // What is too long for a report loses its end, and then does not parse.
                _length = Math.Min(_length + 1, _line.Length);
                _line[_length - 1] = character;
                continue;
            }

            if (PulseReportLine.TryParse(_line.AsSpan(0, _length), out PulseReportLine report))
            {
                _reports.Add((now, report));
                _news.TrySetResult();
                _news = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }

            _length = 0;
        }
    }
}
