using System.CommandLine;

namespace MigrationD.Daemon.Cli.Help;

/// <summary>A command whose help shows examples.</summary>
internal abstract class CliCommand(string name, string description) : Command(name, description)
{
    /// <summary>What else there is to know, line by line, for the command's own help text.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>Command lines to copy, one each, for the help text.</summary>
    public IReadOnlyList<string> Examples { get; init; } = [];
}
