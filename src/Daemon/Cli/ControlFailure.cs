using System.Text.Json;
using MigrationD.Protocol.Grpc;

namespace MigrationD.Daemon.Cli;

/// <summary>What a failed call to a daemon means for the user: a sentence, a word and an exit code.</summary>
internal static class ControlFailure
{
    /// <summary>The failure as the user sees it.</summary>
    /// <param name="tried">What was tried, to follow "cannot": <c>pause guest web</c>.</param>
    /// <param name="socketPath">The control socket.</param>
    /// <param name="socketExists">Whether there is a file at that path.</param>
    /// <param name="error">What came back.</param>
    public static CliException Explain(string tried, string socketPath, bool socketExists, GrpcException error)
    {
        var code = JsonNamingPolicy.KebabCaseLower.ConvertName(error.Code.ToString());
        return error.Code switch
        {
            GrpcStatusCode.Unavailable when !socketExists => new(ExitCode.Unreachable, code,
                $"cannot {tried}: no daemon has a control socket at {socketPath}. Start one with 'migrationd serve', "
                + "or name the socket of a running one with --control PATH."),
            GrpcStatusCode.Unavailable => new(ExitCode.Unreachable, code,
                $"cannot {tried}: the daemon at {socketPath} does not answer ({error.Message}). Check that it runs "
                + "('systemctl status migrationd') and that you may open its socket (root, or the socket's group)."),
            GrpcStatusCode.DeadlineExceeded => new(ExitCode.Unreachable, code,
                $"cannot {tried}: the daemon at {socketPath} did not answer in time ({error.Message}). Look at its log, then try again."),
            GrpcStatusCode.NotFound => new(ExitCode.NotFound, code,
                $"cannot {tried}: {error.Message}. 'migrationd guest list' and 'migrationd migration list' show what there is."),
            GrpcStatusCode.InvalidArgument or GrpcStatusCode.OutOfRange => new(ExitCode.Usage, code, Cannot(tried, error.Message)),
            GrpcStatusCode.AlreadyExists or GrpcStatusCode.FailedPrecondition or GrpcStatusCode.ResourceExhausted => new(
                ExitCode.Refused, code, Cannot(tried, error.Message)),
            GrpcStatusCode.Unimplemented => new(ExitCode.Failed, code,
                $"cannot {tried}: the daemon at {socketPath} does not know this call ({error.Message}). It is another version than this "
                + "program ('migrationd --version'); use the program that belongs to it."),
            _ => new(ExitCode.Failed, code, $"cannot {tried}: the daemon at {socketPath} answered {code}: {error.Message}"),
        };
    }

    /// <summary>The daemon's own sentence says what was tried, too, when it knows better.</summary>
    private static string Cannot(string tried, string message) =>
        message.StartsWith(tried.Split(' ')[0] + ' ', StringComparison.Ordinal) ? $"cannot {message}" : $"cannot {tried}: {message}";
}
