using System.Collections.Frozen;
using System.Runtime.InteropServices;
using MigrationD.Daemon.Logging;

namespace MigrationD.Daemon.Faults;

/// <summary>
/// A test switch: what goes wrong at a named step of a migration. Off, and free, unless the environment variable
/// <c>MIGRATIOND_FAULT</c> says <c>STEP:ACTION</c> when the daemon starts.
/// </summary>
/// <remarks>
/// An action happens once, the first time that the step is reached: a fault that came back at every attempt to recover would be another
/// disturbance, not the same one. The actions:
/// <list type="bullet">
/// <item><c>kill</c>: the process ends as by SIGKILL;</item>
/// <item><c>stop</c>: it stops as by SIGSTOP, until somebody sends SIGCONT;</item>
/// <item><c>throw</c>: the step fails with an exception that nothing expects;</item>
/// <item><c>wait</c>: the step waits until somebody sends SIGCONT, and everything else in the process goes on;</item>
/// <item><c>delay:MS</c>: the step's thread sleeps for so many milliseconds.</item>
/// </list>
/// </remarks>
internal sealed class FaultInjection(string step, string action, int delay)
{
    /// <summary>The environment variable.</summary>
    public const string Variable = "MIGRATIOND_FAULT";

    private const int KillSignal = 9;
    private const int StopSignal = 19;
    private const int LongestDelay = 60_000;

    /// <summary>Every step that has a name. It stands before what is read with it: statics are made in this order.</summary>
    public static FrozenSet<string> Steps { get; } =
    [
        "source.prepare", "source.lanes", "source.precopy", "source.forget", "source.pause", "source.state", "source.run-before",
        "source.run-after", "source.stream", "source.recover", "source.recover-lanes", "source.complete",
        "destination.prepared", "destination.forget", "destination.loading", "destination.loaded", "destination.running",
        "destination.first-page", "destination.recover", "destination.discard", "destination.complete",
    ];

    private static readonly FaultInjection? Configured = TryParse(Environment.GetEnvironmentVariable(Variable), out FaultInjection? fault)
        ? fault
        : null;

    private readonly ManualResetEventSlim _toldToGoOn = new();
    private PosixSignalRegistration? _goOn;
    private int _reached;

    /// <summary>Whether something is to go wrong in this process.</summary>
    public static bool IsOn => Configured is not null;

    /// <summary>The step has been reached: does what was asked for, if anything was asked for here.</summary>
    /// <param name="step">One of <see cref="Steps"/>.</param>
    /// <exception cref="InvalidOperationException">The action is to throw.</exception>
    public static void At(string step) => Configured?.Reach(step);

    /// <summary>Says in the log that this daemon is made to fail.</summary>
    /// <exception cref="IOException">The variable says something that is no step or no action.</exception>
    public static void CheckAtStart(ILogger logger)
    {
        string? text = Environment.GetEnvironmentVariable(Variable);
        if (!TryParse(text, out _))
        {
            throw new IOException(
                $"{Variable} is '{text}', which is no STEP:ACTION; steps: {string.Join(", ", Steps.Order(StringComparer.Ordinal))}; "
                + $"actions: kill, stop, throw, wait, delay:MS up to {LongestDelay}. It makes a daemon fail on purpose: unset it anywhere "
                + "but in a test");
        }

        if (Configured is { } fault)
        {
            // From the start, so that a signal that comes before the step is reached is not lost.
            fault.AwaitContinue();
            DaemonLog.FaultInjected(logger, text!);
        }
    }

    /// <summary>Reads what the variable says; nothing said is no fault, and no mistake.</summary>
    /// <returns>Whether it can be read.</returns>
    public static bool TryParse(string? text, out FaultInjection? fault)
    {
        fault = null;
        if (string.IsNullOrEmpty(text))
        {
            return true;
        }

        string[] parts = text.Split(':');
        int delay = 0;
        bool known = parts switch
        {
            [_, "kill" or "stop" or "throw" or "wait"] => true,
            [_, "delay", string ms] =>
                int.TryParse(ms, NumberStyles.None, CultureInfo.InvariantCulture, out delay) && delay <= LongestDelay,
            _ => false,
        };
        if (!known || !Steps.Contains(parts[0]))
        {
            return false;
        }

        fault = new FaultInjection(parts[0], parts[1], delay);
        return true;
    }

    private void AwaitContinue() =>
        _goOn = action == "wait" ? PosixSignalRegistration.Create(PosixSignal.SIGCONT, _ => _toldToGoOn.Set()) : null;

    private void Reach(string reached)
    {
        if (reached != step || Interlocked.Exchange(ref _reached, 1) != 0)
        {
            return;
        }

        switch (action)
        {
            case "kill":
                _ = Raise(KillSignal);
                break;
            case "stop":
                _ = Raise(StopSignal);
                break;
            case "throw":
                throw new InvalidOperationException($"{Variable} made this step fail: {reached}");
            case "wait":
                _toldToGoOn.Wait();
                _goOn?.Dispose();
                break;
            default:
                Thread.Sleep(delay);
                break;
        }
    }

    /// <summary>
    /// Sends this thread a signal that the process cannot catch: raise(3), so that this thread does not go on before it has been delivered,
    /// as it may when another one of the process takes it.
    /// </summary>
    [DllImport("libc", EntryPoint = "raise")]
    private static extern int Raise(int signal);
}
