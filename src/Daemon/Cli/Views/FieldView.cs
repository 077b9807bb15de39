using Spectre.Console;

namespace MigrationD.Daemon.Cli.Views;

/// <summary>Writes names and values under each other.</summary>
internal static class FieldView
{
    /// <summary>Writes one line for each field whose value is not empty. The names of a group's fields begin with blanks.</summary>
    public static void Write(IAnsiConsole console, IReadOnlyList<(string Name, string Value)> fields)
    {
        var shown = fields.Where(field => field.Value.Length > 0).ToArray();
        var width = shown.Max(field => field.Name.Length);
        foreach (var (name, value) in shown)
        {
            console.Write(new Text($"{name.PadRight(width)}  ", new Style(decoration: Decoration.Dim)));
            console.Write(new Text(value));
            console.WriteLine();
        }
    }
}
