using System.Diagnostics;

namespace MigrationD.EndToEnd.Tests;

/// <summary>One of the two hosts of a <see cref="NetworkPair"/>: a network namespace with one device.</summary>
internal sealed record NetworkHost(string Namespace, string Device, string Address)
{
    /// <summary>Makes a daemon start here: in the namespace, on its address, in plain text unless it has certificates.</summary>
    public void Enter(ProcessStartInfo start)
    {
        for (int i = 0; i < start.ArgumentList.Count; i++)
        {
            if (start.ArgumentList[i] == "127.0.0.1:0")
            {
                start.ArgumentList[i] = $"{Address}:0";
            }
        }

        if (!start.ArgumentList.Contains("--tls"))
        {
            start.ArgumentList.Add("--insecure");
        }

        EnterNamespace(start);
    }

    /// <summary>Makes any program start here.</summary>
    public void EnterNamespace(ProcessStartInfo start)
    {
        start.ArgumentList.Insert(0, start.FileName);
        // It becomes the program, so the process is the program's.
        start.ArgumentList.Insert(0, $"--net=/run/netns/{Namespace}");
        start.FileName = "nsenter";
    }

    /// <summary>Runs a command of the machine in the namespace; what it printed.</summary>
    /// <exception cref="InvalidOperationException">It failed.</exception>
    public string Run(params string[] command) => NetworkPair.Run(["nsenter", $"--net=/run/netns/{Namespace}", .. command]);
}
