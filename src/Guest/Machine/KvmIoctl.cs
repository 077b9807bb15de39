using Microsoft.Win32.SafeHandles;
using MigrationD.Guest.Interop;

namespace MigrationD.Guest.Machine;

/// <summary>ioctls of KVM whose failure is an exception that names them.</summary>
internal static unsafe class KvmIoctl
{
    /// <summary>A request with a pointer to its argument.</summary>
    public static int Call(SafeFileHandle descriptor, KvmRequest request, void* argument)
    {
        int result = Libc.KvmIoctl(descriptor, (nuint)request, argument);
        return result >= 0 ? result : throw SystemCallException.FromLast($"KVM ioctl {request} (0x{(uint)request:X8})");
    }

    /// <summary>A request whose argument is a number.</summary>
    public static int Value(SafeFileHandle descriptor, KvmRequest request, nuint argument)
    {
        int result = Libc.KvmIoctlValue(descriptor, (nuint)request, argument);
        return result >= 0 ? result : throw SystemCallException.FromLast($"KVM ioctl {request} (0x{(uint)request:X8}) argument={argument}");
    }

    /// <summary>A request that fills a structure.</summary>
    public static T Get<T>(SafeFileHandle descriptor, KvmRequest request)
        where T : unmanaged
    {
        T value = default;
        Call(descriptor, request, &value);
        return value;
    }

    /// <summary>A request that takes a structure.</summary>
    public static void Set<T>(SafeFileHandle descriptor, KvmRequest request, T value)
        where T : unmanaged
        => Call(descriptor, request, &value);

    /// <summary>A request that fills a structure which is only carried from host to host.</summary>
    /// <param name="descriptor">A VM or vCPU.</param>
    /// <param name="request">The request; the size of its structure is part of its number.</param>
    /// <param name="first">The first word of the structure, which selects what is read; 0 for most.</param>
    public static byte[] GetBytes(SafeFileHandle descriptor, KvmRequest request, uint first = 0)
    {
        byte[] buffer = new byte[SizeOf(request)];
        fixed (byte* pointer = buffer)
        {
            *(uint*)pointer = first;
            Call(descriptor, request, pointer);
        }

        return buffer;
    }

    /// <summary>A request that takes a structure which came from another host.</summary>
    /// <exception cref="GuestStateException">It has another size.</exception>
    public static void SetBytes(SafeFileHandle descriptor, KvmRequest request, ReadOnlySpan<byte> value)
    {
        if (value.Length != SizeOf(request))
        {
            throw new GuestStateException($"the structure for KVM ioctl {request} has {value.Length} bytes, expected {SizeOf(request)}");
        }

        fixed (byte* pointer = value)
        {
            Call(descriptor, request, pointer);
        }
    }

    /// <summary>Bits 16 to 29 of an ioctl number (asm-generic/ioctl.h).</summary>
    public static int SizeOf(KvmRequest request) => (int)((uint)request >> 16 & 0x3FFF);
}
