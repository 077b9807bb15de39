using System.CommandLine;
using System.Text;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Json;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli.Commands.Guests;

/// <summary>Shows what a guest writes on its serial port.</summary>
internal sealed class GuestConsoleCommand : ClientCommand
{
    private readonly Argument<string> _name = GuestCommand.NameArgument();
    private readonly Option<bool> _follow = new("--follow", "-f")
    {
        Description = "Go on with what the guest writes from now on, through migrations, until it is deleted.",
    };

    private readonly Option<bool> _raw = new("--raw")
    {
        Description = "Give every byte to the terminal as it is. The guest can then control the terminal.",
    };

    public GuestConsoleCommand(CliConsole console)
        : base("console", "Show what a guest wrote on its serial port: the last 64 KiB, on whatever hosts it ran.", console)
    {
        Notes =
        [
            "A guest that was migrated away is read through this daemon from where it is, for as long as the record of it is kept here.",
            "On a terminal, bytes that are not printable are shown as \\xNN. Into a pipe or a file every byte goes as it is.",
            "Where the guest went, and what is missing, is said on standard error. The port only sends: nothing can be typed to a guest.",
            "Guests of kind workload have no serial port. Lines appear when the guest has ended them.",
            "With --json: one object a line, its bytes in base64, offset counted from the guest's first byte.",
        ];
        Examples =
        [
            "migrationd guest console web",
            "migrationd guest console web --follow",
            "migrationd guest console web --json",
        ];
        Arguments.Add(_name);
        Options.Add(_follow);
        Options.Add(_raw);
    }

    protected override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellationToken)
    {
        var name = parse.GetRequiredValue(_name);
        var chunks = client.ReadConsoleAsync(name, parse.GetValue(_follow), cancellationToken);
        try
        {
            if (parse.GetValue(Json))
            {
                await using var lines = new StreamWriter(Terminal.Bytes, leaveOpen: true) { AutoFlush = true };
                await foreach (var chunk in chunks)
                {
                    CliJson.WriteLine(lines, JsonShapes.Of(chunk));
                }
            }
            else
            {
                await ShowAsync(name, chunks, Terminal.IsTerminal && !parse.GetValue(_raw) ? new TerminalText() : null);
            }
        }
        catch (IOException error) when (error.HResult == StandardOutput.BrokenPipe)
        {
            // The reader has seen enough.
        }
        catch (IOException error)
        {
            throw new CliException(
                ExitCode.Failed, "output", $"cannot write the console of guest {name} to standard output: {error.Message}");
        }

        return ExitCode.Ok;
    }

    private async Task ShowAsync(string name, IAsyncEnumerable<ConsoleChunk> chunks, TerminalText? text)
    {
        ulong next = 0;
        await foreach (var chunk in chunks)
        {
            if (!chunk.Data.IsEmpty)
            {
                if (chunk.Offset > next)
                {
                    Say(string.Create(CultureInfo.InvariantCulture,
                        $"{chunk.Offset - next:N0} bytes that guest {name} wrote before this are no longer kept"));
                }
                else if (chunk.Offset < next)
                {
                    Say(string.Create(CultureInfo.InvariantCulture,
                        $"guest {name} goes on as it was at a switchover: the last {next - chunk.Offset:N0} bytes are void"));
                }

                Terminal.Bytes.Write(text is null ? chunk.Data.Span : Encoding.UTF8.GetBytes(text.Show(chunk.Data.Span)));
                next = chunk.Offset + (ulong)chunk.Data.Length;
            }

            if (chunk.Moved is { } moved)
            {
                Say($"guest {name} went to {moved.To} in migration {moved.MigrationId}; what follows comes from there");
            }

            if (chunk.Notice.Length > 0)
            {
                Say(chunk.Notice);
            }
        }

        if (text is not null)
        {
            Terminal.Bytes.Write(Encoding.UTF8.GetBytes(text.Finish()));
        }
    }

    /// <summary>Writes on standard error. Other daemons have a part in these words, so they are shown as a guest's are.</summary>
    private void Say(string words)
    {
        var safe = new TerminalText();
        Terminal.Error.WriteLine($"migrationd: {safe.Show(Encoding.UTF8.GetBytes(words))}{safe.Finish()}");
    }
}
