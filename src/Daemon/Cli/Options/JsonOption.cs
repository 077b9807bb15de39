using System.CommandLine;

namespace MigrationD.Daemon.Cli.Options;

/// <summary>The <c>--json</c> that every command has.</summary>
internal sealed class JsonOption : Option<bool>
{
    public const string Flag = "--json";

    public JsonOption()
        : base(Flag)
    {
        Description = "Print the result as JSON on standard output, and an error as JSON on standard error.";
    }
}
