using Microsoft.Win32.SafeHandles;

namespace MigrationD.Guest.Userfault;

/// <summary>Finds out what userfaultfd can do on this host, with descriptors that are thrown away at once.</summary>
public static class UserfaultfdProbe
{
    /// <summary>Tries both ways to open a userfaultfd, and asks the kernel for its features. The answer says what failed; nothing is thrown.</summary>
    public static UserfaultfdSupport Query()
    {
        using SafeFileHandle? device = Userfaultfd.TryOpenDevice(out Errno deviceError);
        using SafeFileHandle? systemCall = Userfaultfd.TryOpenSystemCall(out Errno systemCallError);
        UserfaultfdFeatures features = UserfaultfdFeatures.None;
        if ((device ?? systemCall) is { } descriptor)
        {
            // Asked for nothing, the kernel answers with everything it has. The call is allowed once per descriptor.
            _ = Userfaultfd.Handshake(descriptor, UserfaultfdFeatures.None, out features);
        }

        return new UserfaultfdSupport(deviceError, systemCallError, features);
    }
}

/// <summary>What this host lets this process do with userfaultfd.</summary>
/// <param name="Device">What opening /dev/userfaultfd came to; <see cref="Errno.None"/> when it worked.</param>
/// <param name="SystemCall">What userfaultfd(2) came to; <see cref="Errno.None"/> when it worked.</param>
/// <param name="Features">What the kernel offers; <see cref="UserfaultfdFeatures.None"/> when neither way worked.</param>
public sealed record UserfaultfdSupport(Errno Device, Errno SystemCall, UserfaultfdFeatures Features)
{
    /// <summary>Whether one of the two ways to open one works.</summary>
    public bool CanOpen => Device == Errno.None || SystemCall == Errno.None;

    /// <summary>Whether pages can be moved into place (Linux 6.8).</summary>
    public bool HasMove => Features.HasFlag(UserfaultfdFeatures.Move);

    /// <summary>Whether a fault names its thread.</summary>
    public bool HasThreadId => Features.HasFlag(UserfaultfdFeatures.ThreadId);

    /// <summary>Whether the kernel can track dirty pages without a message for each (Linux 6.7).</summary>
    public bool HasWpAsync => Features.HasFlag(UserfaultfdFeatures.WpAsync);
}
