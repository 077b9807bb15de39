namespace MigrationD.Guest.Userfault;

/// <summary>Userfaults cannot be had on this host. The message says what was tried, what came back, and the remedy.</summary>
/// <param name="message">The whole sentence.</param>
/// <param name="support">What this host offers.</param>
public sealed class UserfaultfdException(string message, UserfaultfdSupport support) : IOException(message)
{
    /// <summary>What this host offers.</summary>
    public UserfaultfdSupport Support { get; } = support;

    internal static UserfaultfdException CannotOpen(Errno device, Errno systemCall) => new(
        $"cannot open a userfaultfd: /dev/userfaultfd: {device} ({(int)device}); userfaultfd(2): {systemCall} ({(int)systemCall}). "
        + "Give this user read and write permission on /dev/userfaultfd (a udev rule), or CAP_SYS_PTRACE, or set the sysctl "
        + "vm.unprivileged_userfaultfd=1; in a container, pass the device in.",
        new UserfaultfdSupport(device, systemCall, UserfaultfdFeatures.None));

    internal static UserfaultfdException LacksFeatures(UserfaultfdFeatures wanted, Errno answer)
    {
        UserfaultfdSupport support = UserfaultfdProbe.Query();
        UserfaultfdFeatures lacking = wanted & ~support.Features;
        string remedy = lacking switch
        {
            _ when lacking.HasFlag(UserfaultfdFeatures.Move) => "UFFDIO_MOVE needs Linux 6.8: use that or newer, or copy placement.",
            _ when lacking.HasFlag(UserfaultfdFeatures.WpAsync) => "Dirty tracking needs Linux 6.7: use that or newer.",
            _ => "Use a newer kernel.",
        };
        return new UserfaultfdException(
            $"UFFDIO_API features={wanted}: {answer} ({(int)answer}); "
            + $"this kernel ({Environment.OSVersion.Version}) lacks {lacking}. {remedy}",
            support);
    }
}
