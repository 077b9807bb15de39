using System.Runtime.InteropServices;

namespace MigrationD.Benchmarks;

/// <summary>Native memory that has been written to, so that no run pays for the first touch.</summary>
internal sealed unsafe class WarmMemory : IDisposable
{
    private const int Alignment = 2 * 1024 * 1024;

    private readonly byte* _start;

    public WarmMemory(int length)
    {
        Length = length;
        _start = (byte*)NativeMemory.AlignedAlloc((nuint)length, Alignment);
        new Span<byte>(_start, length).Fill(0x5a);
    }

    public int Length { get; }

    public nint Address => (nint)_start;

    public Span<byte> Slice(int offset, int length)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)offset + (uint)length, (uint)Length);
        return new Span<byte>(_start + offset, length);
    }

    public void Dispose() => NativeMemory.AlignedFree(_start);
}
