using System.CommandLine;

namespace MigrationD.Daemon.Cli.Options;

/// <summary>An option whose value is one of the words of an enum of the protocol.</summary>
internal sealed class WordOption<T> : Option<T>
    where T : struct, Enum
{
    private readonly T _default;

    /// <summary>An option without a default; ask <see cref="IsGiven"/> before reading it.</summary>
    public WordOption(string name, string description)
        : base(name)
    {
        var words = Words.Of<T>();
        Description = description;
        HelpName = string.Join('|', words);
        CompletionSources.Clear(); // The enum's own names are not what is written here.
        CompletionSources.Add(words);
        CustomParser = result =>
        {
            var word = result.Tokens[0].Value;
            if (words.Contains(word))
            {
                return Words.Parse<T>(word);
            }

            result.AddError($"{name} {word}: must be one of {string.Join(", ", words)}");
            return default;
        };
    }

    /// <summary>An option that is <paramref name="defaultValue"/> when it is not given.</summary>
    public WordOption(string name, T defaultValue, string description)
        : this(name, $"{description} [default: {Words.Of(defaultValue)}]")
    {
        // Not DefaultValueFactory: the help text would show the enum's name in place of the word.
        _default = defaultValue;
    }

    public bool IsGiven(ParseResult parse) => parse.GetResult(this) is { Implicit: false };

    public T Read(ParseResult parse) => IsGiven(parse) ? parse.GetValue(this) : _default;
}
