using System.Text.Json;

namespace MigrationD.Daemon.Notation;

/// <summary>Writes the protocol's enums as words for people and scripts: lower case, with dashes (<c>postcopy-active</c>).</summary>
internal static class Words
{
    /// <summary>The words of <typeparamref name="T"/> that may be chosen, without the unspecified one.</summary>
    public static string[] Of<T>()
        where T : struct, Enum => [.. Enum.GetValues<T>().Where(value => !value.Equals(default(T))).Select(value => Of(value))];

    /// <summary>Finds the word for a value; a value that this build does not know is shown as its number.</summary>
    public static string Of<T>(T value)
        where T : struct, Enum => JsonNamingPolicy.KebabCaseLower.ConvertName(value.ToString());

    /// <summary>The value that a word stands for; the word is one of <see cref="Of{T}()"/>.</summary>
    public static T Parse<T>(string word)
        where T : struct, Enum => Enum.GetValues<T>().First(value => Of(value) == word);
}
