using MigrationD.Guest.Interop;

namespace MigrationD.Guest.Userfault;

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
