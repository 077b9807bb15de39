using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Migrations;

/// <summary>Figures of a migration that change all the time.</summary>
/// <param name="LaneBytes">Bytes on all lanes from the source to the destination, framing included.</param>
/// <param name="PagesReceived">Pages that the destination holds, as far as this side knows.</param>
/// <param name="Placement">What the destination counted, as far as this side knows.</param>
/// <param name="Released">Bytes of guest memory that the source has given back to its host.</param>
/// <param name="Compression">What packing has come to; null where nothing is packed.</param>
internal readonly record struct LiveFigures(
    long LaneBytes, long PagesReceived, PlacementCounters? Placement, long Released = 0, CompressionFigures? Compression = null);
