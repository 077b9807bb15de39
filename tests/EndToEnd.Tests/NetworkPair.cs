using System.Diagnostics;
using System.Globalization;

namespace MigrationD.EndToEnd.Tests;

/// <summary>
/// Two network hosts: namespaces of the test's own with a link between them that can be slow, down, silent or hostile. Gone with the test.
/// </summary>
internal sealed class NetworkPair : IDisposable
{
    private static int _count;

    private NetworkPair(string name)
    {
        One = new NetworkHost($"{name}a", "eth0", "10.99.0.1");
        Two = new NetworkHost($"{name}b", "eth0", "10.99.0.2");
    }

    public NetworkHost One { get; }

    public NetworkHost Two { get; }

    /// <summary>A link of so many Mbit/s.</summary>
    public static NetworkPair Create(int megabits)
    {
        var pair = new NetworkPair(string.Create(
            CultureInfo.InvariantCulture, $"md{Environment.ProcessId}-{Interlocked.Increment(ref _count)}"));
        try
        {
            Run("ip", "netns", "add", pair.One.Namespace);
            Run("ip", "netns", "add", pair.Two.Namespace);
            Run("ip", "link", "add", "eth0", "netns", pair.One.Namespace, "type", "veth", "peer", "name", "eth0", "netns", pair.Two.Namespace);
            foreach (NetworkHost host in (NetworkHost[])[pair.One, pair.Two])
            {
                Run("ip", "-n", host.Namespace, "addr", "add", $"{host.Address}/24", "dev", host.Device);
                Run("ip", "-n", host.Namespace, "link", "set", "lo", "up");
                Run("ip", "-n", host.Namespace, "link", "set", host.Device, "up");
                Run("tc", "-n", host.Namespace, "qdisc", "add", "dev", host.Device, "root", "tbf", "rate", $"{megabits}mbit",
                    "burst", "128k", "latency", "50ms");
            }

            return pair;
        }
        catch
        {
            pair.Dispose();
            throw;
        }
    }

    /// <summary>Breaks the link so.</summary>
    public void Cut(LinkFault fault, DaemonProcess lanesOf)
    {
        switch (fault)
        {
            case LinkFault.Down:
                Run("ip", "-n", One.Namespace, "link", "set", One.Device, "down");
                break;
            case LinkFault.Silent:
                Filter("-I", "INPUT", "-j", "DROP");
                Filter("-I", "OUTPUT", "-j", "DROP");
                break;
            case LinkFault.Reset:
                Filter("-I", "INPUT", "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset");
                break;
            case LinkFault.UrgentLane:
                ResetLane(lanesOf, 0);
                break;
            case LinkFault.PushLane:
                ResetLane(lanesOf, 1);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(fault));
        }
    }

    /// <summary>The link is as it was.</summary>
    public void Heal()
    {
        Filter("-F");
        Run("ip", "-n", One.Namespace, "link", "set", One.Device, "up");
    }

    public void Dispose()
    {
        foreach (NetworkHost host in (NetworkHost[])[One, Two])
        {
            // Its devices, rules and queues go with it.
            TryRun("ip", ["netns", "del", host.Namespace], out _);
        }
    }

    /// <summary>Resets one lane's connection, and no other: connections made later are let through.</summary>
    private void ResetLane(DaemonProcess destination, int lane)
    {
        string port = destination.Lanes[(destination.Lanes.LastIndexOf(':') + 1)..];
        string listed = Run(
            "ip", "netns", "exec", One.Namespace, "ss", "-Htn", "state", "established", "dst", $"{Two.Address}:{port}");
        // The urgent lane is dialled first, and so has the lower port of the two, but for a wrap of the range.
        string[] ports = [.. listed.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[2].Split(':')[^1])
            .OrderBy(text => int.Parse(text, CultureInfo.InvariantCulture))];
        Assert.True(ports.Length == 2, $"two lanes should be open: {listed}");
        Filter("-I", "INPUT", "-p", "tcp", "--dport", ports[lane], "-j", "REJECT", "--reject-with", "tcp-reset");
        Filter("-I", "OUTPUT", "-p", "tcp", "--sport", ports[lane], "-j", "REJECT", "--reject-with", "tcp-reset");
    }

    private void Filter(params string[] rule) => Run("ip", ["netns", "exec", One.Namespace, "iptables", "-w", .. rule]);

    private static string Run(string program, params string[] arguments) => TryRun(program, arguments, out string output)
        ? output
        : throw new InvalidOperationException($"{program} {string.Join(' ', arguments)}: {output}");

    private static bool TryRun(string program, string[] arguments, out string output)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        output = process.StandardOutput.ReadToEnd() + process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0;
    }
}
