using System.CommandLine;

namespace MigrationD.Daemon.Cli.Help;

/// <summary>A command whose help shows examples.</summary>
internal abstract class CliCommand : Command
{
    /// <summary>A command under <paramref name="name"/>.</summary>
    protected CliCommand(string name, string description)
        : base(name, description)
    {
    }

    /// <summary>What else there is to know, line by line, for the command's own help text.</summary>
    public IReadOnlyList<string> Notes { get; protected init; } = [];

    /// <summary>Command lines to copy, one each, for the help text.</summary>
    public IReadOnlyList<string> Examples { get; protected init; } = [];
}
