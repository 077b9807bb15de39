using System.CommandLine;
using System.CommandLine.Completions;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using MigrationD.Daemon.Cli.Client;

namespace MigrationD.Daemon.Cli.Help;

/// <summary>
/// Answers the [suggest] directive: how a command line can go on at a position. The library's own answer has every spelling of help on
/// every line, and what only contains the word.
/// </summary>
internal sealed class SuggestAction(RootCommand root, SuggestDirective directive) : SynchronousCommandLineAction
{
    private static readonly string[] OtherSpellings = ["-?", "-h", "/?", "/h"];

    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parseResult)
    {
        var line = parseResult.Tokens.LastOrDefault(token => token.Type != TokenType.Directive)?.Value ?? "";
        var given = parseResult.GetResult(directive)?.Values;
        var position = given is { Count: > 0 } && int.TryParse(given[0], out var asked) ? Math.Clamp(asked, 0, line.Length) : line.Length;
        foreach (var suggestion in Suggest(line, position))
        {
            parseResult.InvocationConfiguration.Output.WriteLine(suggestion);
        }

        return ExitCode.Ok;
    }

    /// <summary>
    /// Says what can stand at a position of a command line that begins after the program's name; options where nothing else can, or where
    /// they are asked for.
    /// </summary>
    internal IReadOnlyList<string> Suggest(string line, int position)
    {
        var before = line[..position];
        var word = before[(before.LastIndexOfAny([' ', '\t']) + 1)..];
        var all = root.Parse(line).GetCompletions(position)
            .Select(item => item.InsertText ?? item.Label)
            .Where(text => text.StartsWith(word, StringComparison.Ordinal) && !OtherSpellings.Contains(text))
            .Distinct()
            .Order(StringComparer.Ordinal)
            .ToArray();
        var values = all.Where(text => !text.StartsWith('-')).ToArray();
        return values.Length > 0 ? values : all;
    }
}
