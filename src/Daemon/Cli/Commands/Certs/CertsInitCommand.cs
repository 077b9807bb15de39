using System.CommandLine;
using MigrationD.Daemon.Cli.Help;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Security.Certificates;

namespace MigrationD.Daemon.Cli.Commands.Certs;

/// <summary>Makes a certificate authority.</summary>
internal sealed class CertsInitCommand : CliCommand
{
    private readonly Option<string> _folder = CertsCommand.FolderOption();
    private readonly Option<int> _days = CertsCommand.DaysOption(3650);
    private readonly Option<string> _name = new("--name")
    {
        Description = "What the authority is called.", HelpName = "NAME", DefaultValueFactory = _ => "migrationd",
    };

    private readonly Option<bool> _keep = new("--keep")
    {
        Description = "Leave an authority that is there already as it is, e.g. in what runs at every start.",
    };

    public CertsInitCommand(CliConsole console)
        : base("init", "Make a certificate authority for all hosts: once, on one host that is kept safe.")
    {
        Notes =
        [
            "Whoever has ca-key.pem can make certificates that every host trusts. It is needed to issue certificates, and nowhere else.",
            "Hosts that have an authority already need none of this: put its files where --tls of the daemon expects them.",
        ];
        Examples = ["migrationd certs init", "migrationd certs init --dir ./ca --name cluster-1 --days 3650"];
        Options.Add(_folder);
        Options.Add(_name);
        Options.Add(_days);
        Options.Add(_keep);
        SetAction(parse => CertsCommand.Writing(() => Init(parse, console), parse.GetValue(_days)));
    }

    private void Init(ParseResult parse, CliConsole console)
    {
        string folder = Path.GetFullPath(parse.GetRequiredValue(_folder));
        using CertificateAuthority authority = parse.GetValue(_keep) && CertificateAuthority.IsIn(folder)
            ? CertificateAuthority.Open(folder)
            : CertificateAuthority.Create(folder, parse.GetRequiredValue(_name), TimeSpan.FromDays(parse.GetValue(_days)));
        console.Out.WriteLine(
            $"the authority is in {folder}, valid until {authority.ExpiresAt:yyyy-MM-dd}; now, for each host: "
            + $"migrationd certs issue NAME --dir {folder} --host ADDRESS --out DIR");
    }
}
