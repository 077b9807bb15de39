using System.Text.Json.Serialization;

namespace MigrationD.Daemon.Json;

/// <summary>
/// A migration as libvirt's virDomainGetJobStats tells it, which <c>virsh domjobinfo</c> shows: its names, its units, and no field that has
/// no meaning here. Times in milliseconds, sizes in bytes.
/// </summary>
internal sealed record DomJobInfoJson(
    [property: JsonPropertyName("operation")] string Operation,
    [property: JsonPropertyName("success")] bool? Success,
    [property: JsonPropertyName("errmsg")] string? ErrorMessage,
    [property: JsonPropertyName("time_elapsed")] ulong TimeElapsed,
    [property: JsonPropertyName("time_remaining")] ulong? TimeRemaining,
    [property: JsonPropertyName("downtime")] ulong? Downtime,
    [property: JsonPropertyName("setup_time")] ulong? SetupTime,
    [property: JsonPropertyName("data_total")] ulong DataTotal,
    [property: JsonPropertyName("data_processed")] ulong DataProcessed,
    [property: JsonPropertyName("data_remaining")] ulong DataRemaining,
    [property: JsonPropertyName("memory_total")] ulong MemoryTotal,
    [property: JsonPropertyName("memory_processed")] ulong MemoryProcessed,
    [property: JsonPropertyName("memory_remaining")] ulong MemoryRemaining,
    [property: JsonPropertyName("memory_constant")] ulong MemoryConstant,
    [property: JsonPropertyName("memory_normal")] ulong MemoryNormal,
    [property: JsonPropertyName("memory_normal_bytes")] ulong MemoryNormalBytes,
    [property: JsonPropertyName("memory_bps")] ulong MemoryBytesPerSecond,
    [property: JsonPropertyName("memory_page_size")] ulong MemoryPageSize,
    [property: JsonPropertyName("memory_iteration")] ulong MemoryIteration,
    [property: JsonPropertyName("memory_dirty_rate")] ulong MemoryDirtyRate,
    [property: JsonPropertyName("memory_postcopy_requests")] ulong MemoryPostcopyRequests);
