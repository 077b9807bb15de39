using System.Text.Json.Serialization;

namespace MigrationD.Daemon.Guests;

/// <summary>An entry as it is on disk.</summary>
/// <param name="Version"><see cref="JournalEntry.Version"/> of who wrote it.</param>
/// <param name="Guest">The entry.</param>
internal sealed record JournalFile(int Version, JournalEntry Guest);

/// <summary>How it is written: for people to read as well, and read strictly.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    WriteIndented = true,
    UseStringEnumConverter = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(JournalFile))]
internal sealed partial class JournalJson : JsonSerializerContext;
