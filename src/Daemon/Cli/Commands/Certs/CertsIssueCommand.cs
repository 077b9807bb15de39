using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Help;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Security.Certificates;

namespace MigrationD.Daemon.Cli.Commands.Certs;

/// <summary>Makes the certificates of one node.</summary>
internal sealed class CertsIssueCommand : CliCommand
{
    private readonly Argument<string> _name = new("NAME") { Description = "The node's name, by which others know it." };
    private readonly Option<string> _folder = CertsCommand.FolderOption();
    private readonly Option<int> _days = CertsCommand.DaysOption(365);
    private readonly Option<string[]> _hosts = new("--host")
    {
        Description = "A further name or address under which the node is dialled; can be given several times.", HelpName = "HOST",
    };

    private readonly Option<string> _out = new("--out")
    {
        Description = "The node's TLS directory: where its five files are written.", HelpName = "DIR", Required = true,
    };

    private readonly Option<bool> _force = new("--force") { Description = "Replace the files that are there, e.g. to renew them." };

    public CertsIssueCommand(CliConsole console)
        : base("issue", "Make the TLS directory of one node: what it shows to others, and whom it trusts.")
    {
        Notes =
        [
            "Bring DIR to the host, readable by the daemon's user alone, and start the daemon with --tls DIR. A daemon that runs takes",
            "renewed files over on SIGHUP (systemctl reload migrationd); migrations under way go on.",
        ];
        Examples =
        [
            "migrationd certs issue alpha --host alpha.example.com --host 10.0.0.5 --out ./alpha",
            "migrationd certs issue alpha --dir ./ca --host 10.0.0.5 --out /etc/migrationd/tls --force",
        ];
        Arguments.Add(_name);
        Options.Add(_folder);
        Options.Add(_hosts);
        Options.Add(_out);
        Options.Add(_days);
        Options.Add(_force);
        SetAction(parse => CertsCommand.Writing(() => Issue(parse, console), parse.GetValue(_days)));
    }

    private void Issue(ParseResult parse, CliConsole console)
    {
        string name = parse.GetRequiredValue(_name);
        string[] hosts = parse.GetValue(_hosts) ?? [];
        foreach (string one in hosts.Prepend(name))
        {
            bool isHost = Uri.CheckHostName(one.Trim('[', ']')) is UriHostNameType.Dns or UriHostNameType.IPv4 or UriHostNameType.IPv6;
            if (!isHost || (one == name && Uri.CheckHostName(one) != UriHostNameType.Dns))
            {
                throw new CliException(
                    ExitCode.Usage, "usage", $"'{one}' is no {(one == name ? "name of a node" : "host name or address")}");
            }
        }

        using var authority = CertificateAuthority.Open(Path.GetFullPath(parse.GetRequiredValue(_folder)));
        string folder = Path.GetFullPath(parse.GetRequiredValue(_out));
        authority.Issue(
            folder, name, [.. hosts.Select(host => host.Trim('[', ']'))], TimeSpan.FromDays(parse.GetValue(_days)), parse.GetValue(_force));
        console.Out.WriteLine($"the certificates of {name} are in {folder}; start its daemon with --tls {folder}");
    }
}
