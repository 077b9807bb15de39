using Google.Protobuf;
using Microsoft.Win32.SafeHandles;

namespace MigrationD.Guest.Machine;

/// <summary>A descriptor of KVM (the device, a machine, a vCPU) with its ioctls; the exception for one that fails names it.</summary>
internal abstract unsafe class KvmObject(SafeFileHandle descriptor) : IDisposable
{
    private const int ListHeader = 8;

    public bool IsDisposed => descriptor.IsClosed;

    /// <summary>The size of a request's structure: bits 16 to 29 of an ioctl number (asm-generic/ioctl.h).</summary>
    public static int SizeOf(KvmRequest request) => (int)((uint)request >> 16 & 0x3FFF);

    public virtual void Dispose() => descriptor.Dispose();

    public T Get<T>(KvmRequest request)
        where T : unmanaged
    {
        T value = default;
        Call(request, &value);
        return value;
    }

    public void Set<T>(KvmRequest request, T value)
        where T : unmanaged
        => Call(request, &value);

    /// <summary>
    /// Fills a structure that is only carried from host to host. Its <paramref name="first"/> word selects what is read; 0 for most.
    /// </summary>
    public ByteString GetBytes(KvmRequest request, uint first = 0)
    {
        byte[] buffer = new byte[SizeOf(request)];
        fixed (byte* pointer = buffer)
        {
            *(uint*)pointer = first;
            Call(request, pointer);
        }

        return UnsafeByteOperations.UnsafeWrap(buffer);
    }

    /// <summary>Gives a structure that came from another host to the kernel.</summary>
    /// <exception cref="GuestStateException">It has another size.</exception>
    public void SetBytes(KvmRequest request, ByteString value)
    {
        if (value.Length != SizeOf(request))
        {
            throw new GuestStateException($"the structure for KVM ioctl {request} has {value.Length} bytes, expected {SizeOf(request)}");
        }

        fixed (byte* pointer = value.Span)
        {
            Call(request, pointer);
        }
    }

    protected int TryCall(KvmRequest request, void* argument) => Libc.Ioctl(descriptor, (nuint)request, argument);

    protected int Call(KvmRequest request, void* argument)
    {
        int result = TryCall(request, argument);
        return result >= 0 ? result : throw SystemCallException.FromLast($"KVM ioctl {request} (0x{(uint)request:X8})");
    }

    /// <summary>Calls with a number for an argument.</summary>
    protected int Call(KvmRequest request, nuint argument)
    {
        int result = TryCall(request, (void*)argument);
        return result >= 0 ? result : throw SystemCallException.FromLast($"KVM ioctl {request} (0x{(uint)request:X8}) argument={argument}");
    }

    /// <summary>
    /// Calls with a list, struct kvm_cpuid2 or kvm_msrs: how many entries there are, padding, then the entries. The kernel may change all
    /// of it; <paramref name="count"/> is how many entries there are then.
    /// </summary>
    protected int CallList<T>(KvmRequest request, Span<T> entries, out int count)
        where T : unmanaged
    {
        byte[] buffer = new byte[ListHeader + (entries.Length * sizeof(T))];
        fixed (byte* list = buffer)
        {
            *(uint*)list = (uint)entries.Length;
            var inside = new Span<T>(list + ListHeader, entries.Length);
            entries.CopyTo(inside);
            int result = Call(request, list);
            inside.CopyTo(entries);
            count = (int)*(uint*)list;
            return result;
        }
    }
}
