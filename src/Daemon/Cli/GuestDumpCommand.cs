using System.CommandLine;
using System.Globalization;
using MigrationD.Daemon.Cli.Json;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli;

/// <summary>Writes a guest's memory to a file, for a post-mortem.</summary>
internal sealed class GuestDumpCommand : ClientCommand
{
    private readonly Argument<string> _name = GuestCommand.NameArgument();

    private readonly Argument<string> _file = new("FILE") { Description = "Where the image goes; must not exist." };

    /// <summary>The command.</summary>
    public GuestDumpCommand(CliConsole console)
        : base("dump", "Write the memory of a paused guest, or what is left of one that lost pages, to a file.", console)
    {
        Notes =
        [
            "The image is raw and sparse: byte 0 is the guest's address 0, zeros are holes. When pages are missing, FILE.missing has a line",
            "'FIRST COUNT' for each range of them, in pages of 4096 bytes; in the image they are holes as well.",
        ];
        Examples = ["migrationd guest dump web /var/tmp/web.raw"];
        Arguments.Add(_name);
        Arguments.Add(_file);
    }

    /// <inheritdoc/>
    protected override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellation)
    {
        var name = parse.GetRequiredValue(_name);
        var path = Path.GetFullPath(parse.GetRequiredValue(_file));
        var summary = await WriteAsync(client, name, path, cancellation);
        var missing = summary.Missing.Aggregate(0UL, (sum, range) => sum + range.Count);
        if (missing > 0)
        {
            await File.WriteAllLinesAsync(path + ".missing", summary.Missing.Select(range => string.Create(
                CultureInfo.InvariantCulture, $"{range.First} {range.Count}")), cancellation);
        }

        if (parse.GetValue(Json))
        {
            CliJson.WriteLine(Terminal.Out, new GuestDumpJson(name, path, summary.MemoryBytes, missing));
        }
        else
        {
            Terminal.Out.WriteLine($"guest {name}: {new ByteSize((long)summary.MemoryBytes)} written to {path}"
                + (missing == 0 ? "" : $"; {missing} pages are missing, listed in {path}.missing"));
        }

        return ExitCode.Ok;
    }

    private static async Task<DumpSummary> WriteAsync(ControlClient client, string name, string path, CancellationToken cancellation)
    {
        FileStream image;
        try
        {
            image = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CliException(ExitCode.Failed, "file", $"cannot dump guest {name} to {path}: {error.Message}");
        }

        try
        {
            await using (image)
            {
                DumpSummary? summary = null;
                await foreach (var chunk in client.DumpGuestAsync(name, cancellation))
                {
                    summary = chunk.Summary ?? summary;
                    image.Position = (long)chunk.Offset;
                    await image.WriteAsync(chunk.Data.Memory, cancellation);
                }

                image.SetLength((long)(summary ?? throw new CliException(ExitCode.Failed, "aborted",
                    $"cannot dump guest {name}: the daemon ended the stream before its end; look at its log")).MemoryBytes);
                return summary;
            }
        }
        catch (Exception error)
        {
            // Half an image would be taken for a whole one.
            File.Delete(path);
            throw error is IOException
                ? new CliException(ExitCode.Failed, "file", $"cannot dump guest {name} to {path}: {error.Message}")
                : error;
        }
    }
}
