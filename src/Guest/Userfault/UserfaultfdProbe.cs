using MigrationD.Guest.Interop;

namespace MigrationD.Guest.Userfault;

/// <summary>Finds out what userfaultfd can do on this host, with descriptors that are thrown away at once.</summary>
public static class UserfaultfdProbe
{
    /// <summary>
    /// Tries both ways to open a userfaultfd, and asks the kernel for its features. Fails never; the answer says what failed.
    /// </summary>
    public static UserfaultfdSupport Query()
    {
        using DescriptorHandle? device = Userfaultfd.TryOpenDevice(out Errno deviceError);
        using DescriptorHandle? systemCall = Userfaultfd.TryOpenSystemCall(out Errno systemCallError);
        UserfaultfdFeatures features = UserfaultfdFeatures.None;
        if ((device ?? systemCall) is { } descriptor)
        {
            // Asked for nothing, the kernel answers with everything it has. The call is allowed once per descriptor.
            _ = Userfaultfd.Handshake(descriptor, UserfaultfdFeatures.None, out features);
        }

        return new UserfaultfdSupport(deviceError, systemCallError, features);
    }
}
