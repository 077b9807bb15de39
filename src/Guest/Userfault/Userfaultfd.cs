using Microsoft.Win32.SafeHandles;

namespace MigrationD.Guest.Userfault;

/// <summary>One userfaultfd: its system calls with typed errors. What to do about an error is decided by who calls.</summary>
/// <remarks>Any number of threads may use it at the same time. No call allocates.</remarks>
internal sealed unsafe class Userfaultfd : IDisposable
{
    private const string DevicePath = "/dev/userfaultfd";
    private const int OpenFlags = Libc.CloseOnExec | Libc.NonBlocking;

    private Userfaultfd(SafeFileHandle descriptor) => Descriptor = descriptor;

    /// <summary>The descriptor, for poll(2).</summary>
    public SafeFileHandle Descriptor { get; }

    /// <summary>Opens a userfaultfd by /dev/userfaultfd, which needs file permission only, else by the system call.</summary>
    /// <exception cref="UserfaultfdException">Neither way works, or the kernel lacks a feature.</exception>
    public static Userfaultfd Open(UserfaultfdFeatures features)
    {
        Errno systemCallError = Errno.None;
        SafeFileHandle descriptor = TryOpenDevice(out Errno deviceError)
            ?? TryOpenSystemCall(out systemCallError)
            ?? throw UserfaultfdException.CannotOpen(deviceError, systemCallError);
        Errno error = Handshake(descriptor, features, out _);
        if (error != Errno.None)
        {
            descriptor.Dispose();
            throw UserfaultfdException.LacksFeatures(features, error);
        }

        return new Userfaultfd(descriptor);
    }

    /// <summary>Reads the next messages, as many as there are and fit; 0 when there is none. Never blocks.</summary>
    public int ReadMessages(UserfaultfdAbi.Message* into, int capacity)
    {
        nint bytes = Libc.Read(Descriptor, into, (nuint)capacity * UserfaultfdAbi.MessageSize);
        return bytes >= 0 ? (int)(bytes / UserfaultfdAbi.MessageSize)
            : SystemCallException.LastError is Errno.EAGAIN or Errno.EINTR ? 0
            : throw SystemCallException.FromLast("read userfaultfd");
    }

    /// <summary>Makes faults of missing pages in this range come here.</summary>
    public Errno Register(nint start, long length) => Register(start, length, UserfaultfdAbi.RegisterModeMissing);

    /// <summary>
    /// Lets pages of this range be write-protected; none is yet. EBUSY: another userfaultfd has a part of the range.
    /// </summary>
    public Errno RegisterForWriteProtection(nint start, long length) =>
        Register(start, length, UserfaultfdAbi.RegisterModeWriteProtect);

    /// <summary>Ends that. Missing pages in this range are zeros from now on: only for a range that has none.</summary>
    public Errno Unregister(nint start, long length) => OnRange(UserfaultfdAbi.IoctlUnregister, start, length);

    /// <summary>Makes threads that wait in this range look again.</summary>
    public Errno Wake(nint start, long length) => OnRange(UserfaultfdAbi.IoctlWake, start, length);

    /// <summary>
    /// Moves pages and wakes who waits for them. <paramref name="done"/> is the bytes moved, also on EAGAIN, where it is less than
    /// asked for; 0 when nothing was moved.
    /// </summary>
    public Errno Move(nint destination, nint source, long length, out long done) =>
        Transfer(UserfaultfdAbi.IoctlMove, destination, source, length, out done);

    /// <summary>Copies pages and wakes who waits for them; <paramref name="done"/> as for <see cref="Move"/>.</summary>
    public Errno Copy(nint destination, nint source, long length, out long done) =>
        Transfer(UserfaultfdAbi.IoctlCopy, destination, source, length, out done);

    /// <summary>Maps pages of zeros and wakes who waits for them; <paramref name="done"/> as for <see cref="Move"/>.</summary>
    public Errno Zeropage(nint start, long length, out long done)
    {
        var argument = new UserfaultfdAbi.Zeropage { Start = (ulong)start, Length = (ulong)length };
        Errno error = Result(Libc.Ioctl(Descriptor, UserfaultfdAbi.IoctlZeropage, &argument));
        done = DoneAfter(error, length, argument.Done);
        return error;
    }

    /// <summary>Closes the descriptor. Pages of ranges that are still registered and missing read as zeros from then on.</summary>
    public void Dispose() => Descriptor.Dispose();

    internal static SafeFileHandle? TryOpenDevice(out Errno error)
    {
        using SafeFileHandle? device = Own(Libc.OpenDescriptor(DevicePath, Libc.OpenReadWrite | Libc.CloseOnExec), out error);
        return device is null ? null : Own(Libc.Ioctl(device, UserfaultfdAbi.IoctlNew, (void*)OpenFlags), out error);
    }

    // Not UFFD_USER_MODE_ONLY: KVM touches guest RAM from kernel mode, and would get SIGBUS.
    internal static SafeFileHandle? TryOpenSystemCall(out Errno error) =>
        Own((int)Libc.UserfaultfdSystemCall(Libc.SystemCallUserfaultfd, OpenFlags), out error);

    internal static Errno Handshake(SafeFileHandle descriptor, UserfaultfdFeatures wanted, out UserfaultfdFeatures offered)
    {
        var argument = new UserfaultfdAbi.Api { Version = UserfaultfdAbi.ApiVersion, Features = (ulong)wanted };
        Errno error = Result(Libc.Ioctl(descriptor, UserfaultfdAbi.IoctlApi, &argument));
        offered = error == Errno.None ? (UserfaultfdFeatures)argument.Features : UserfaultfdFeatures.None;
        return error;
    }

    private static SafeFileHandle? Own(int descriptor, out Errno error)
    {
        error = descriptor >= 0 ? Errno.None : SystemCallException.LastError;
        return descriptor >= 0 ? new SafeFileHandle(descriptor, ownsHandle: true) : null;
    }

    private static Errno Result(int returned) => returned == 0 ? Errno.None : SystemCallException.LastError;

    // On failure the kernel's field holds -errno, or the bytes done when the error is EAGAIN.
    private static long DoneAfter(Errno error, long length, long field) => error switch
    {
        Errno.None => length,
        Errno.EAGAIN => Math.Max(field, 0),
        _ => 0,
    };

    private Errno Register(nint start, long length, ulong mode)
    {
        var argument = new UserfaultfdAbi.Register { Start = (ulong)start, Length = (ulong)length, Mode = mode };
        return Result(Libc.Ioctl(Descriptor, UserfaultfdAbi.IoctlRegister, &argument));
    }

    private Errno OnRange(uint request, nint start, long length)
    {
        var argument = new UserfaultfdAbi.Range { Start = (ulong)start, Length = (ulong)length };
        return Result(Libc.Ioctl(Descriptor, request, &argument));
    }

    private Errno Transfer(uint request, nint destination, nint source, long length, out long done)
    {
        var argument = new UserfaultfdAbi.Transfer
        {
            Destination = (ulong)destination,
            Source = (ulong)source,
            Length = (ulong)length,
        };
        Errno error = Result(Libc.Ioctl(Descriptor, request, &argument));
        done = DoneAfter(error, length, argument.Done);
        return error;
    }
}
