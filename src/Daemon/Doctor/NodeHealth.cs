using System.Net.Sockets;
using MigrationD.Guest.Interop;
using MigrationD.Guest.Machine;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Doctor;

/// <summary>
/// Finds out whether this daemon can do its work now. The daemon looks itself, and not the one who asks: what it may open is a matter of
/// its own user, groups and device rules.
/// </summary>
/// <param name="node">The node's name.</param>
/// <param name="probeLanes">Returns when the lanes' listener has taken a connection.</param>
internal sealed class NodeHealth(string node, Func<CancellationToken, Task> probeLanes)
{
    // An accept takes far less on a loaded host, and those who ask wait longer for the answer.
    private static readonly TimeSpan LanesDeadline = TimeSpan.FromSeconds(2);

    public async Task<Health> CheckAsync(CancellationToken cancellationToken)
    {
        // Beside the question to the lanes: opening a device is a system call that may wait.
        Task<DoctorFinding[]> devices = Task.Run(() => new[] { UserfaultfdCheck.Run(), JudgeKvm(KvmProbe.Query()) }, cancellationToken);
        DoctorFinding lanes = await CheckLanesAsync(cancellationToken).ConfigureAwait(false);
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

    /// <summary>Judges KVM: a host without it is as it should be; one whose /dev/kvm this daemon may not open is not.</summary>
    public static DoctorFinding JudgeKvm(KvmProbeResult kvm)
    {
        DoctorFinding finding = KvmCheck.Judge(kvm);
        return kvm.CanOpen || kvm.OpenError is Errno.ENOENT or Errno.ENODEV or Errno.ENXIO
            ? finding with { Status = DoctorStatus.Ok, Remedy = null }
            : finding with { Status = DoctorStatus.Missing };
    }

    private async Task<DoctorFinding> CheckLanesAsync(CancellationToken cancellationToken)
    {
        const string Name = "lanes";
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(LanesDeadline);
        try
        {
            await probeLanes(deadline.Token).ConfigureAwait(false);
            return new(Name, DoctorStatus.Ok, "the lanes' listener takes connections");
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
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
