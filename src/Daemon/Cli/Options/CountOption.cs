using System.CommandLine;
using System.Globalization;

namespace MigrationD.Daemon.Cli.Options;

/// <summary>An option whose value is a whole number from 1 to a most.</summary>
internal sealed class CountOption : Option<uint?>
{
    public CountOption(string name, uint most, string description)
        : base(name)
    {
        Description = description;
        HelpName = "N";
        CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            if (uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint count) && count >= 1 && count <= most)
            {
                return count;
            }

            result.AddError($"{name} {text}: must be a whole number from 1 to {most}");
            return null;
        };
    }
}
