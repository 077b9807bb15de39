using System.Diagnostics;
using System.Globalization;

namespace MigrationD.EndToEnd.Tests;

/// <summary>
/// Two hosts with a cable between them: network namespaces of the test's own, joined by a veth pair. The cable can be slow, be pulled out,
/// swallow everything, or break its connections. Nothing of it is left after the test.
/// </summary>
internal sealed class NetworkPair : IDisposable
{
    private static readonly TimeSpan CommandDeadline = TimeSpan.FromSeconds(20);
    private static int _created;

    private NetworkPair(NetworkHost one, NetworkHost two)
    {
        One = one;
        Two = two;
    }

    public NetworkHost One { get; }

    public NetworkHost Two { get; }

    /// <summary>A pair that works.</summary>
    /// <param name="rate">Bits a second in each direction, as tc(8) writes them, e.g. <c>100mbit</c>; null is as fast as the kernel copies.</param>
    public static NetworkPair Create(string? rate = null)
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"md{Environment.ProcessId}n{Interlocked.Increment(ref _created)}");
        // Each pair is a world of its own, so all may have the same addresses.
        var pair = new NetworkPair(new NetworkHost($"{name}a", "veth", "10.231.0.1"), new NetworkHost($"{name}b", "veth", "10.231.0.2"));
        try
        {
            Run("ip", "netns", "add", pair.One.Namespace);
            Run("ip", "netns", "add", pair.Two.Namespace);
            Run(
                "ip", "link", "add", pair.One.Device, "netns", pair.One.Namespace, "type", "veth",
                "peer", "name", pair.Two.Device, "netns", pair.Two.Namespace);
            foreach (NetworkHost host in pair.Hosts)
            {
                Run("ip", "-n", host.Namespace, "address", "add", $"{host.Address}/24", "dev", host.Device);
                Run("ip", "-n", host.Namespace, "link", "set", "lo", "up");
                Run("ip", "-n", host.Namespace, "link", "set", host.Device, "up");
            }

            pair.Shape(rate);
            return pair;
        }
        catch
        {
            pair.Dispose();
            throw;
        }
    }

    /// <summary>Makes the cable slower or faster; null is as fast as the kernel copies.</summary>
    public void Shape(string? rate)
    {
        foreach (NetworkHost host in Hosts)
        {
            if (rate is not null)
            {
                Run(
                    "tc", "-n", host.Namespace, "qdisc", "replace", "dev", host.Device, "root",
                    "tbf", "rate", rate, "burst", "128k", "latency", "20ms");
            }
            else if (Run("tc", "-n", host.Namespace, "qdisc", "show", "dev", host.Device).Contains("tbf", StringComparison.Ordinal))
            {
                Run("tc", "-n", host.Namespace, "qdisc", "delete", "dev", host.Device, "root");
            }
        }
    }

    /// <summary>Pulls the cable out of the first host: both hosts notice at once.</summary>
    public void LinkDown() => Run("ip", "-n", One.Namespace, "link", "set", One.Device, "down");

    /// <summary>Puts the cable back.</summary>
    public void LinkUp() => Run("ip", "-n", One.Namespace, "link", "set", One.Device, "up");

    /// <summary>From now on everything sent in either direction is gone, and nobody is told.</summary>
    public void StartDropping()
    {
        foreach (NetworkHost host in Hosts)
        {
            host.Run("iptables", "-w", "-A", "INPUT", "-i", host.Device, "-j", "DROP");
        }
    }

    /// <summary>What is sent arrives again.</summary>
    public void StopDropping()
    {
        foreach (NetworkHost host in Hosts)
        {
            host.Run("iptables", "-w", "-F", "INPUT");
        }
    }

    /// <summary>From now on every packet of a connection to the second host is answered with a reset.</summary>
    public void StartResetting() => Two.Run("iptables", "-w", "-A", "INPUT", "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset");

    /// <summary>Connections hold again.</summary>
    public void StopResetting() => Two.Run("iptables", "-w", "-F", "INPUT");

    /// <summary>The ports at the first host of its established connections to a port of the second, in no order.</summary>
    public IReadOnlyList<int> ConnectionsTo(int port) =>
    [
        .. One.Run("ss", "-Htn", "state", "established", "dport", "=", $":{port}")
            .Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[2])
            .Select(address => int.Parse(address[(address.LastIndexOf(':') + 1)..], CultureInfo.InvariantCulture)),
    ];

    /// <summary>Ends one connection of the first host at once; the other end is told with a reset.</summary>
    public void Kill(int localPort) => One.Run("ss", "-K", "sport", "=", $":{localPort}");

    public void Dispose()
    {
        foreach (NetworkHost host in Hosts)
        {
            // The device goes with its namespace, and its other end with it.
            if (File.Exists($"/run/netns/{host.Namespace}"))
            {
                Run("ip", "netns", "delete", host.Namespace);
            }
        }
    }

    /// <summary>Runs a command of the machine; what it printed.</summary>
    /// <exception cref="InvalidOperationException">It failed.</exception>
    public static string Run(params string[] command)
    {
        var start = new ProcessStartInfo(command[0], command.Skip(1)) { RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(CommandDeadline))
        {
            process.Kill();
            throw new TimeoutException($"{string.Join(' ', command)} did not end within {CommandDeadline}");
        }

        process.WaitForExit();
        return process.ExitCode == 0
            ? output.GetAwaiter().GetResult()
            : throw new InvalidOperationException($"{string.Join(' ', command)} ended with {process.ExitCode}: {error.GetAwaiter().GetResult()}");
    }

    private NetworkHost[] Hosts => [One, Two];
}
