using System.Text.Json;
using Grpc.Core;

namespace MigrationD.Daemon.Cli.Client;

/// <summary>What a failed call to a daemon means for the user: a sentence, a word and an exit code.</summary>
internal static class ControlFailure
{
    /// <summary>Shows a failure to the user. What was tried goes on after "cannot": <c>pause guest web</c>.</summary>
    public static CliException Explain(string tried, string socketPath, bool socketExists, Refusal error)
    {
        var code = JsonNamingPolicy.KebabCaseLower.ConvertName(((StatusCode)error.Why).ToString());
        var message = WithoutRepetition(tried, error.Message);
        return error.Why switch
        {
            Because.Unreachable when !socketExists => new(ExitCode.Unreachable, code,
                $"cannot {tried}: no daemon has a control socket at {socketPath}. Start one with 'migrationd serve', "
                + "or name the socket of a running one with --control PATH."),
            Because.Unreachable => new(ExitCode.Unreachable, code,
                $"cannot {tried}: the daemon at {socketPath} does not answer ({message}). Check that it runs "
                + "('systemctl status migrationd') and that you may open its socket (root, or the socket's group)."),
            Because.TimedOut => new(ExitCode.Unreachable, code,
                $"cannot {tried}: the daemon at {socketPath} did not answer in time ({message}). Look at its log, then try again."),
            Because.NotFound => new(ExitCode.NotFound, code,
                $"cannot {tried}: {message}" + (message.Contains("migrationd ", StringComparison.Ordinal)
                    ? ""
                    : ". 'migrationd guest list' and 'migrationd migration list' show what there is.")),
            Because.Invalid or Because.OutOfRange => new(ExitCode.Usage, code, $"cannot {tried}: {message}"),
            Because.AlreadyThere or Because.NotNow or Because.Busy => new(ExitCode.Refused, code, $"cannot {tried}: {message}"),
            Because.NotSupported => new(ExitCode.Failed, code,
                $"cannot {tried}: the daemon at {socketPath} does not know this call ({message}). It is another version than this "
                + "program ('migrationd --version'); use the program that belongs to it."),
            _ => new(ExitCode.Failed, code, $"cannot {tried}: the daemon at {socketPath} answered {code}: {message}"),
        };
    }

    /// <summary>
    /// The message without what was tried, which a daemon says first for its log and for other clients: <c>pause guest 'web': why</c>.
    /// </summary>
    private static string WithoutRepetition(string tried, string message)
    {
        var colon = message.IndexOf(": ", StringComparison.Ordinal);
        if (colon < 0)
        {
            return message;
        }

        var said = message[..colon].Replace("'", "", StringComparison.Ordinal);
        return IsSame(said, tried) || IsSame(tried, said) ? message[(colon + 2)..] : message;
    }

    private static bool IsSame(string phrase, string longer) =>
        longer == phrase || longer.StartsWith(phrase + " ", StringComparison.Ordinal);
}
