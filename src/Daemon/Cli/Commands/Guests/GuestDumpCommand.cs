using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Json;

namespace MigrationD.Daemon.Cli.Commands.Guests;

/// <summary>Saves a guest's memory in a file.</summary>
internal sealed class GuestDumpCommand : ClientCommand
{
    private readonly Argument<string> _name = GuestCommand.NameArgument();
    private readonly Argument<string> _file = new("FILE") { Description = "Where to write the memory." };
    private readonly Option<bool> _force = new("--force") { Description = "Replace FILE if it exists." };

    public GuestDumpCommand(CliConsole console)
        : base("dump", "Save the memory of a paused guest, or what is left of a lost one, in a sparse raw image.", console)
    {
        Notes =
        [
            "Pages that are missing here are holes in FILE, as pages of zeros are. FILE.missing then says which they are: one line",
            "'first count' for each range, in pages of 4096 bytes. It is there only when pages are missing.",
        ];
        Examples = ["migrationd guest dump web web.ram", "migrationd guest dump web web.ram --force --json"];
        Arguments.Add(_name);
        Arguments.Add(_file);
        Options.Add(_force);
    }

    protected override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellationToken)
    {
        var name = parse.GetRequiredValue(_name);
        using var file = DumpFile.Create(Path.GetFullPath(parse.GetRequiredValue(_file)), parse.GetValue(_force));
        await foreach (var chunk in client.DumpGuestAsync(name, cancellationToken))
        {
            file.Add(chunk);
        }

        var summary = file.Finish();
        var missing = summary.PagesMissing > 0 ? file.MissingPath : null;
        var json = new GuestDumpJson(name, file.Path, summary.MemoryBytes, summary.PagesPresent, summary.PagesMissing, missing);
        return Show(parse, json, () =>
        {
            Terminal.Out.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{new ByteSize((long)summary.MemoryBytes)} of guest {name} in {file.Path}: {summary.PagesPresent:N0} pages are here, "
                + $"{summary.PagesMissing:N0} are missing"));
            if (missing is not null)
            {
                Terminal.Error.WriteLine(
                    $"WARNING: missing pages read as zeros in {file.Path}, and are not; {missing} says which they are.");
            }
        });
    }
}
