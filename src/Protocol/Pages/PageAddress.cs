namespace MigrationD.Protocol.Pages;

/// <summary>One page that somebody waits for: a PageRequest message (transport.proto).</summary>
/// <param name="RamBlock">Index of the RAM block.</param>
/// <param name="Page">Index of the page in the block; pages are 4096 bytes.</param>
public readonly record struct PageAddress(uint RamBlock, ulong Page);
