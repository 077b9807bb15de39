namespace MigrationD.Protocol.Lanes.Interop;

/// <summary>
/// Memory that only native code may touch, such as guest RAM. It is an address and not a Span on purpose: a page of it may be missing,
/// and managed code that touches a missing page can stop the whole process (the collector waits for that thread).
/// </summary>
/// <param name="Address">Where it starts in this process.</param>
/// <param name="Length">Bytes; not negative. The owner keeps them mapped while a call uses them.</param>
public readonly record struct NativeBuffer(nint Address, int Length);
