using System.Diagnostics;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests;

/// <summary>A host with a name that has two addresses, the first of which nobody listens on, as behind a network without IPv6.</summary>
public sealed class AddressTests : IDisposable
{
    private const string Name = "destination.test";
    private const Needs Host = Needs.Userfaultfd | Needs.NetworkNamespaces;

    private readonly Scratch _scratch = new();

    public AddressTests() => File.WriteAllText(_scratch.PathOf("hosts"), $"::1 {Name}\n127.0.0.1 {Name}\n");

    [MachineFact(Host)]
    public async Task Lanes_go_to_the_address_that_answered_for_control()
    {
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination", ListenForLanesEverywhere);
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", KnowTheName);
        await source.CreateGuestAsync("g", "workload", "16MiB", "8MiB");

        (await source.CliAsync("migrate", "g", "--to", Named(destination.Listen), "--mode", "postcopy")).Succeeds();

        await destination.GuestIsWellAsync("g");
    }

    [MachineFact(Host)]
    public async Task Each_address_of_the_host_that_the_destination_names_is_tried()
    {
        await using ScriptedDestination destination = await ScriptedDestination.StartAsync();
        PrepareResponse prepared = destination.Prepared;
        prepared.Lanes = Named(prepared.Lanes);
        destination.OnPrepare = _ => prepared;
        destination.OnLoadState = _ => throw new Refusal(Because.NotNow, "the lanes are open, that is enough");
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", KnowTheName);
        await source.CreateGuestAsync("g", "workload", "16MiB", "8MiB");

        (await source.CliAsync("migrate", "g", "--to", destination.Address, "--mode", "postcopy")).Fails("the lanes are open");

        await source.GuestIsWellAsync("g");
    }

    public void Dispose() => _scratch.Dispose();

    private static string Named(string address) => $"{Name}:{address[(address.LastIndexOf(':') + 1)..]}";

    // On each IPv4 address of this host, so that what is answered for them names none.
    private static void ListenForLanesEverywhere(ProcessStartInfo start)
    {
        start.ArgumentList[start.ArgumentList.IndexOf("--lanes") + 1] = "0.0.0.0:0";
        start.ArgumentList.Add("--insecure");
    }

    /// <summary>In a mount namespace of its own, so that nobody else on this machine sees the file of names.</summary>
    private void KnowTheName(ProcessStartInfo start)
    {
        // Both become what they start, so the process is the program's.
        string[] before =
        [
            "--mount", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\"", _scratch.PathOf("hosts"), start.FileName,
        ];
        for (int i = 0; i < before.Length; i++)
        {
            start.ArgumentList.Insert(i, before[i]);
        }

        start.FileName = "unshare";
    }
}
