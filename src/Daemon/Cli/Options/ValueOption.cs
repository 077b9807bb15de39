using System.CommandLine;

namespace MigrationD.Daemon.Cli.Options;

/// <summary>An option whose value is written in a form of its own; what is written otherwise is refused with that form.</summary>
internal sealed class ValueOption<T> : Option<T?>
    where T : struct
{
    public ValueOption(string name, string helpName, string description, ValueOption.Parser<T> parser, string form)
        : base(name)
    {
        Description = description;
        HelpName = helpName;
        CustomParser = result =>
        {
            var text = result.Tokens[0].Value;
            if (parser(text, out var value))
            {
                return value;
            }

            result.AddError($"{name} {text}: {form}");
            return null;
        };
    }
}

/// <summary>The kinds of values that options have.</summary>
internal static class ValueOption
{
    public delegate bool Parser<T>(string text, out T value);

    public static ValueOption<Bandwidth> Bandwidth(string name, string description) =>
        new(name, "RATE", description, Notation.Bandwidth.TryParse, $"no bandwidth; {Notation.Bandwidth.Forms}");

    /// <summary>A whole number from 1 to <paramref name="most"/>.</summary>
    public static ValueOption<uint> Count(string name, uint most, string description) => new(
        name, "N", description,
        (string text, out uint count) =>
            uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out count) && count >= 1 && count <= most,
        $"must be a whole number from 1 to {most}");

    public static ValueOption<ByteSize> Size(string name, string description) => new(
        name, "SIZE", description, ByteSize.TryParse, "no size; write bytes or a whole number of KiB, MiB or GiB, e.g. 256MiB");

    /// <summary>A time of at least a millisecond.</summary>
    public static ValueOption<TimeSpan> Time(string name, string description) => new(
        name, "TIME", description,
        (string text, out TimeSpan time) => Duration.TryParse(text, out time) && time >= TimeSpan.FromMilliseconds(1),
        "no time from 1ms to 7 days; use a number with ms, s, m or h, e.g. 30s");
}
