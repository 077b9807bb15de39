using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Json;
using Spectre.Console;

namespace MigrationD.Daemon.Cli.Views;

/// <summary>A configuration for people and for scripts.</summary>
internal static class ConfigView
{
    /// <summary>Writes every option with its value and where that came from.</summary>
    public static void Write(CliConsole console, IReadOnlyList<ConfigValueJson> values, bool json)
    {
        if (json)
        {
            CliJson.WriteLine(console.Out, values);
            return;
        }

        int key = values.Max(one => one.Key.Length);
        int value = values.Max(one => Shown(one).Length);
        foreach (ConfigValueJson one in values)
        {
            string from = one.From is null ? one.Origin : $"{one.Origin} {one.From}";
            console.Ansi.Write(new Text($"{one.Key.PadRight(key)}  {Shown(one).PadRight(value)}  {from}\n"));
        }
    }

    private static string Shown(ConfigValueJson one) => one.Value.Length > 0 ? one.Value : "-";
}
