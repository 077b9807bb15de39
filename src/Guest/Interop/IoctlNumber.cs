namespace MigrationD.Guest.Interop;

/// <summary>
/// The parts of an ioctl number (asm-generic/ioctl.h): <c>direction &lt;&lt; 30 | size &lt;&lt; 16 | type &lt;&lt; 8 | nr</c>. Constants
/// and not a method, so that the numbers made of them are constants too. A request without an argument, or with one by value (_IO), has no
/// direction.
/// </summary>
internal static class IoctlNumber
{
    /// <summary>_IOW: the kernel reads the argument.</summary>
    public const uint Write = 1u << DirectionShift;

    /// <summary>_IOR: the kernel writes the argument.</summary>
    public const uint Read = 2u << DirectionShift;

    /// <summary>_IOC_SIZESHIFT.</summary>
    public const int SizeShift = 16;

    /// <summary>_IOC_TYPESHIFT.</summary>
    public const int TypeShift = 8;

    private const int DirectionShift = 30;
}
