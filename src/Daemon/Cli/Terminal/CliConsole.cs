using Spectre.Console;

namespace MigrationD.Daemon.Cli.Terminal;

/// <summary>Where a command writes: results on standard output, everything else on standard error.</summary>
internal sealed class CliConsole
{
    /// <summary>
    /// Columns when the output is no terminal: wide enough that neither a table cell nor a reason is wrapped, so that lines stay greppable.
    /// </summary>
    private const int RedirectedWidth = 4096;

    /// <summary>A console over these writers. Output to a terminal may have colours and move the cursor.</summary>
    public CliConsole(TextWriter output, TextWriter error, bool isTerminal, Stream? bytes = null)
    {
        Bytes = bytes ?? new StandardOutput();
        Out = output;
        Error = error;
        IsTerminal = isTerminal;
        Ansi = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = new AnsiConsoleOutput(output),
            Ansi = isTerminal ? AnsiSupport.Detect : AnsiSupport.No,
            ColorSystem = isTerminal ? ColorSystemSupport.Detect : ColorSystemSupport.NoColors,
            Interactive = isTerminal ? InteractionSupport.Detect : InteractionSupport.No,
        });
        if (!isTerminal)
        {
            Ansi.Profile.Width = RedirectedWidth;
        }
    }

    public TextWriter Out { get; }

    /// <summary>Standard output for bytes as they are; not to be mixed with <see cref="Out"/>.</summary>
    public Stream Bytes { get; }

    public TextWriter Error { get; }

    public bool IsTerminal { get; }

    /// <summary>Whether what was written can be drawn anew: a terminal that moves its cursor, which not every one does.</summary>
    public bool CanRedraw => IsTerminal && Ansi.Profile.Capabilities is { Ansi: true, Interactive: true };

    /// <summary>Standard output for tables and live displays.</summary>
    public IAnsiConsole Ansi { get; }

    /// <summary>The console of this process.</summary>
    public static CliConsole OfProcess() => new(Console.Out, Console.Error, !Console.IsOutputRedirected);
}
