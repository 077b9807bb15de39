using System.Diagnostics;
using System.Text;

namespace MigrationD.EndToEnd.Tests;

/// <summary><c>migrationd guest console NAME --follow</c> in a process of its own, with everything that it has written so far.</summary>
internal sealed class FollowedConsole : IAsyncDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly MemoryStream _output = new();
    private readonly StringBuilder _words = new();
    private readonly Task _reading;

    private FollowedConsole(Process process)
    {
        _process = process;
        _reading = Task.WhenAll(ReadBytesAsync(), ReadWordsAsync());
    }

    /// <summary>What came on standard output.</summary>
    public string Text
    {
        get
        {
            lock (_output)
            {
                return Encoding.ASCII.GetString(_output.ToArray());
            }
        }
    }

    /// <summary>What came on standard error.</summary>
    public string Words
    {
        get
        {
            lock (_words)
            {
                return _words.ToString();
            }
        }
    }

    public static FollowedConsole Start(DaemonProcess daemon, string guest, params string[] options)
    {
        Process process = Process.Start(
            ProgramUnderTest.Start(["guest", "console", guest, "--follow", "--control", daemon.Control, .. options]))!;
        process.StandardInput.Close();
        return new FollowedConsole(process);
    }

    /// <summary>Waits until it has written what is wanted.</summary>
    public async Task UntilAsync(Func<FollowedConsole, bool> wanted, string what)
    {
        var clock = Stopwatch.StartNew();
        while (!wanted(this))
        {
            Assert.True(clock.Elapsed < Deadline, $"not within {Deadline}: {what}\n{Words}\n{Text}");
            if (_process.HasExited)
            {
                // What it wrote last comes by pipes of their own.
                await _reading;
                Assert.True(wanted(this), $"the command ended with {_process.ExitCode} before: {what}\n{Words}\n{Text}");
                return;
            }

            await Task.Delay(20);
        }
    }

    /// <summary>Waits until it has ended by itself; its exit code.</summary>
    public async Task<int> ExitAsync()
    {
        using var deadline = new CancellationTokenSource(Deadline);
        await _process.WaitForExitAsync(deadline.Token);
        await _reading;
        return _process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
        }

        await _process.WaitForExitAsync();
        await _reading;
        _process.Dispose();
    }

    private async Task ReadBytesAsync()
    {
        byte[] buffer = new byte[4096];
        while (await _process.StandardOutput.BaseStream.ReadAsync(buffer) is > 0 and var length)
        {
            lock (_output)
            {
                _output.Write(buffer, 0, length);
            }
        }
    }

    private async Task ReadWordsAsync()
    {
        while (await _process.StandardError.ReadLineAsync() is { } line)
        {
            lock (_words)
            {
                _words.AppendLine(line);
            }
        }
    }
}
