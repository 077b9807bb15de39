using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Help;
using MigrationD.Daemon.Cli.Terminal;

namespace MigrationD.Daemon.Cli.Commands;

/// <summary>Prints the script that makes a shell complete this program's command lines.</summary>
internal sealed class CompletionCommand : CliCommand
{
    private readonly Argument<string> _shell = new("SHELL") { Description = "The shell." };

    public CompletionCommand(CliConsole console)
        : base("completion", "Print a script that makes a shell complete commands, options, guests' names and migrations' ids.")
    {
        Notes =
        [
            "bash:  source <(migrationd completion bash)",
            "       for good: migrationd completion bash > /etc/bash_completion.d/migrationd",
            "zsh:   source <(migrationd completion zsh), after compinit",
            "       for good: migrationd completion zsh > a file '_migrationd' in a folder of $fpath",
            "fish:  migrationd completion fish | source",
            "       for good: migrationd completion fish > ~/.config/fish/completions/migrationd.fish",
        ];
        Examples = ["migrationd completion bash"];
        _shell.AcceptOnlyFromAmong([.. CompletionScripts.Shells]);
        Arguments.Add(_shell);
        SetAction(parse =>
        {
            console.Out.Write(CompletionScripts.Of(parse.GetRequiredValue(_shell)));
            return ExitCode.Ok;
        });
    }
}
