using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Options;

namespace MigrationD.Daemon.Cli.Options;

/// <summary>The daemon's options as flags of a command.</summary>
internal sealed class DaemonFlags
{
    private readonly Dictionary<DaemonOptionKey, Option<string?>> _options = DaemonOptionKey.All.ToDictionary(key => key, Option);

    /// <summary>Loads the options that are in force with what was <see cref="Given"/>; the error says what they were wanted for.</summary>
    /// <exception cref="CliException">Something is wrong; it says everything that is.</exception>
    public static DaemonOptions Load(IReadOnlyDictionary<string, string> flags, string tried)
    {
        try
        {
            return DaemonOptions.Load(flags);
        }
        catch (DaemonOptionsException error)
        {
            throw new CliException(ExitCode.Usage, "usage",
                $"cannot {tried}, its configuration is wrong:\n  {error.Message.Replace("\n", "\n  ", StringComparison.Ordinal)}");
        }
    }

    public void AddTo(Command command)
    {
        foreach (var option in _options.Values)
        {
            command.Options.Add(option);
        }
    }

    /// <summary>Gathers what was given on the command line, by <see cref="DaemonOptionKey.Name"/>.</summary>
    public IReadOnlyDictionary<string, string> Given(ParseResult parse)
    {
        var flags = new Dictionary<string, string>();
        foreach (var (key, option) in _options)
        {
            if (parse.GetResult(option) is { Implicit: false } given)
            {
                flags[key.Name] = given.Tokens.Count > 0 ? given.Tokens[0].Value : "true";
            }
        }

        return flags;
    }

    private static Option<string?> Option(DaemonOptionKey key)
    {
        var option = new Option<string?>(key.Flag) { Description = key.Description, HelpName = key.ValueName };
        if (key == DaemonOptionKey.Insecure)
        {
            // "--insecure" alone says yes.
            option.Arity = ArgumentArity.ZeroOrOne;
        }

        return option;
    }
}
