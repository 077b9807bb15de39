using System.CommandLine;
using MigrationD.Daemon.Notation;

namespace MigrationD.Daemon.Cli.Options;

/// <summary>An option whose value is a <see cref="Bandwidth"/>.</summary>
internal sealed class BandwidthOption : Option<Bandwidth?>
{
    public BandwidthOption(string name, string description)
        : base(name)
    {
        Description = description;
        HelpName = "RATE";
        CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            if (!Bandwidth.TryParse(text, out Bandwidth bandwidth))
            {
                result.AddError($"{name} {text}: no bandwidth; {Bandwidth.Forms}");
            }

            return bandwidth;
        };
    }
}
