using System.Net.Sockets;
using MigrationD.Guest.Interop;
using MigrationD.Guest.Machine;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Doctor;

/// <summary>
/// Whether this daemon can do its work now. It looks itself, rather than whoever asks: what it may open is a matter of its own user, groups
/// and device rules.
/// </summary>
/// <param name="node">Name of the node.</param>
/// <param name="probeLanes">Returns when the lanes' listener has taken a connection.</param>
internal sealed class NodeHealth(string node, Func<CancellationToken, Task> probeLanes)
{
    /// <summary>Far longer than an accept takes on a loaded host, and shorter than those who ask wait for the answer.</summary>
    private static readonly TimeSpan LanesDeadline = TimeSpan.FromSeconds(2);

    /// <summary>Looks at everything once.</summary>
    public async Task<Health> CheckAsync(CancellationToken cancel)
    {
        // Off the thread that reads the connection: opening a device is a system call that may wait.
        Task<DoctorFinding[]> devices = Task.Run(() => new[] { new UserfaultfdCheck().Run(), JudgeKvm(KvmProbe.Query()) }, cancel);
        DoctorFinding lanes = await CheckLanesAsync(cancel).ConfigureAwait(false);
        return new Health
        {
            Node = node,
            Checks =
            {
                new[] { lanes }.Concat(await devices.ConfigureAwait(false)).Select(finding => new HealthCheck
                {
                    Name = finding.Name,
                    Ok = finding.Status == DoctorStatus.Ok,
                    Found = finding.Found,
                    Remedy = finding.Remedy ?? "",
                }),
            },
        };
    }

    /// <summary>A host without KVM is as it should be; one whose /dev/kvm this daemon may not open is not.</summary>
    public static DoctorFinding JudgeKvm(KvmProbeResult kvm)
    {
        DoctorFinding finding = KvmCheck.Judge(kvm);
        return kvm.CanOpen || kvm.OpenError is Errno.ENOENT or Errno.ENODEV or Errno.ENXIO
            ? finding with { Status = DoctorStatus.Ok, Remedy = null }
            : finding with { Status = DoctorStatus.Missing };
    }

    private async Task<DoctorFinding> CheckLanesAsync(CancellationToken cancel)
    {
        const string Name = "lanes";
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        deadline.CancelAfter(LanesDeadline);
        try
        {
            await probeLanes(deadline.Token).ConfigureAwait(false);
            return new(Name, DoctorStatus.Ok, "the lanes' listener takes connections");
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            return new(Name, DoctorStatus.Missing,
                $"the lanes' listener has not taken a connection within {LanesDeadline.TotalSeconds:0} s",
                "see whether the host is overloaded, and look at the daemon's log; restart it when its guests have been moved away");
        }
        catch (SocketException error)
        {
            return new(Name, DoctorStatus.Missing, $"the lanes' listener cannot be reached from this daemon: {error.Message}",
                "look at the daemon's log, and at its limit of open files");
        }
    }
}
