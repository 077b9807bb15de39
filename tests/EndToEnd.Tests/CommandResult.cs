using System.Text.Json.Nodes;

namespace MigrationD.EndToEnd.Tests;

/// <summary>What a command of the CLI did.</summary>
internal sealed record CommandResult(string CommandLine, int ExitCode, string Output, string Error)
{
    /// <summary>What it printed; the last object where it printed one a line.</summary>
    public JsonNode Json => JsonNode.Parse(Output.TrimEnd().Split('\n')[^1])
        ?? throw new InvalidDataException($"{CommandLine} printed no JSON: {Output}");

    public CommandResult Succeeds()
    {
        Assert.True(ExitCode == 0, ToString());
        return this;
    }

    /// <summary>It failed, and the message has all of these words.</summary>
    public CommandResult Fails(params string[] words)
    {
        Assert.True(ExitCode != 0, ToString());
        Assert.All(words, word => Assert.Contains(word, Error, StringComparison.OrdinalIgnoreCase));
        return this;
    }

    public override string ToString() => $"{CommandLine} ended with {ExitCode}\n{Output}\n{Error}";
}
