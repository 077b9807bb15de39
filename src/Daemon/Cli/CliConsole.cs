using Microsoft.Win32.SafeHandles;
using Spectre.Console;

namespace MigrationD.Daemon.Cli;

/// <summary>Where a command writes: results on standard output, everything else on standard error.</summary>
internal sealed class CliConsole
{
    /// <summary>
    /// Columns when the output is no terminal: wide enough that neither a table cell nor a reason is wrapped, so that lines stay greppable.
    /// </summary>
    private const int RedirectedWidth = 4096;

    private Stream? _bytes;

    /// <summary>A console over these writers.</summary>
    /// <param name="output">Standard output.</param>
    /// <param name="error">Standard error.</param>
    /// <param name="isTerminal">Whether the output is a terminal: then it may have colours and move the cursor.</param>
    /// <param name="bytes">Standard output for bytes that are not text; null for this process's.</param>
    public CliConsole(TextWriter output, TextWriter error, bool isTerminal, Stream? bytes = null)
    {
        _bytes = bytes;
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

    /// <summary>Standard output.</summary>
    public TextWriter Out { get; }

    /// <summary>
    /// Standard output for bytes as they are; not to be mixed with <see cref="Out"/>. Unlike the stream of <see cref="Console"/>, which drops
    /// what is written to a pipe that nobody reads any more, it fails then, so that a command that goes on for ever ends with its reader.
    /// </summary>
    public Stream Bytes => _bytes ??= new FileStream(new SafeFileHandle(1, ownsHandle: false), FileAccess.Write, bufferSize: 0);

    /// <summary>Standard error.</summary>
    public TextWriter Error { get; }

    /// <summary>Whether the output is a terminal.</summary>
    public bool IsTerminal { get; }

    /// <summary>Standard output for tables and live displays.</summary>
    public IAnsiConsole Ansi { get; }

    /// <summary>The console of this process.</summary>
    public static CliConsole OfProcess() => new(Console.Out, Console.Error, !Console.IsOutputRedirected);
}
