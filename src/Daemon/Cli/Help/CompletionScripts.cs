namespace MigrationD.Daemon.Cli.Help;

/// <summary>
/// For each shell the script that asks this program how a command line can go on: <c>migrationd "[suggest:POSITION]" "WORDS"</c>, where
/// WORDS is the command line up to the cursor without the program's name.
/// </summary>
internal static class CompletionScripts
{
    // Suggestions are compared and taken as they are, never expanded: they hold names that others chose.
    private const string Bash = """
        # migrationd completion for bash.
        _migrationd() {
          local words=${COMP_LINE:0:COMP_POINT} word=${COMP_WORDS[COMP_CWORD]} program suggestion
          words=${words#"${words%%[![:space:]]*}"}
          words=${words#"${COMP_WORDS[0]}"}
          words=${words# }
          program=$(command -v -- "${COMP_WORDS[0]}") || program=migrationd
          COMPREPLY=()
          while IFS= read -r suggestion; do
            [[ -n $suggestion && $suggestion == "$word"* ]] && COMPREPLY+=("$suggestion")
          done < <("$program" "[suggest:${#words}]" "$words" 2>/dev/null)
        }
        complete -o default -F _migrationd migrationd

        """;

    private const string Zsh = """
        #compdef migrationd
        # migrationd completion for zsh.
        _migrationd() {
          local line="${(j: :)${(@)words[2,CURRENT-1]}}"
          [[ -n $line ]] && line="$line "
          line="$line$PREFIX"
          local -a suggestions
          suggestions=(${(f)"$("${words[1]}" "[suggest:${#line}]" "$line" 2>/dev/null)"})
          if (( ${#suggestions} )); then
            compadd -a suggestions
          else
            _files
          fi
        }
        if [[ ${funcstack[1]} == _migrationd ]]; then
          _migrationd "$@"
        else
          compdef _migrationd migrationd
        fi

        """;

    private const string Fish = """
        # migrationd completion for fish.
        function __migrationd_suggestions
            set -l words (commandline -cp | string replace -r '^\s*\S+\s?' '')
            set -l found (migrationd "[suggest:"(string length -- "$words")"]" "$words" 2>/dev/null)
            if set -q found[1]
                printf '%s\n' $found
            else
                __fish_complete_path (commandline -ct)
            end
        end
        complete -c migrationd -f -a '(__migrationd_suggestions)'

        """;

    public static IReadOnlyList<string> Shells { get; } = ["bash", "fish", "zsh"];

    /// <summary>The script for one of <see cref="Shells"/>.</summary>
    public static string Of(string shell) => shell switch
    {
        "bash" => Bash,
        "fish" => Fish,
        "zsh" => Zsh,
        _ => throw new ArgumentOutOfRangeException(nameof(shell), shell, "there is no completion script for this shell"),
    };
}
