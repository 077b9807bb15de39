using Spectre.Console;

namespace MigrationD.Daemon.Tests.Cli;

/// <summary>A console of a fixed size that keeps what is written to it.</summary>
internal sealed class RecordedConsole : IDisposable
{
    private readonly StringWriter _written = new();

    /// <summary>A terminal that can move its cursor, or one that can only go on.</summary>
    public RecordedConsole(bool isTerminal = false, int width = 100)
    {
        Ansi = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = new AnsiConsoleOutput(_written),
            Ansi = isTerminal ? AnsiSupport.Yes : AnsiSupport.No,
            ColorSystem = isTerminal ? ColorSystemSupport.TrueColor : ColorSystemSupport.NoColors,
            Interactive = isTerminal ? InteractionSupport.Yes : InteractionSupport.No,
        });
        Ansi.Profile.Width = width;
        Ansi.Profile.Height = 50;
    }

    public IAnsiConsole Ansi { get; }

    public string Written => _written.ToString();

    /// <summary>What was written, line by line, without blanks at their ends.</summary>
    public string[] Lines => [.. Written.Split('\n').Select(line => line.TrimEnd())];

    public void Dispose() => _written.Dispose();
}
