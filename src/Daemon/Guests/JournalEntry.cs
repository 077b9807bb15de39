using System.Text.Json;
using System.Text.Json.Serialization;
using MigrationD.Guest;
using MigrationD.Guest.Kinds;

namespace MigrationD.Daemon.Guests;

/// <summary>What the daemon after this one has to know of a guest: who it is, and where else something of it may be.</summary>
/// <param name="Spec">The guest.</param>
/// <param name="State">What the daemon had to do with it.</param>
/// <param name="Since">Since when.</param>
/// <param name="Migration">The migration that moved it; null for none.</param>
/// <param name="Peer">The other side of it: HOST:PORT of a destination, the name of a source; null for none.</param>
/// <param name="End">How that daemon ended; null while it lives.</param>
/// <param name="EndedAt">When; for <see cref="JournalEnd.Death"/>, when it was last seen alive.</param>
/// <param name="Former">
/// What was known of a guest of this name before this one was expected; it counts again if that one never runs here.
/// </param>
internal sealed record JournalEntry(
    GuestSpec Spec,
    JournalState State,
    DateTimeOffset Since,
    string? Migration = null,
    string? Peer = null,
    JournalEnd? End = null,
    DateTimeOffset? EndedAt = null,
    JournalEntry? Former = null)
{
    /// <summary>The form in which this build writes; it reads no other.</summary>
    public const int Version = 1;

    public byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(new JournalFile(Version, this), JournalJson.Default.JournalFile);

    /// <summary>Reads the content of a file, which has to be about this guest.</summary>
    /// <exception cref="JsonException">It is none of this build's; the message says why.</exception>
    public static JournalEntry Parse(string name, ReadOnlyMemory<byte> json)
    {
        using (JsonDocument document = JsonDocument.Parse(json))
        {
            // First of all: in another version everything else may mean something else.
            if (document.RootElement.ValueKind != JsonValueKind.Object
                || !document.RootElement.TryGetProperty("version", out JsonElement version)
                || version.ValueKind != JsonValueKind.Number)
            {
                throw new JsonException("it does not say its version");
            }

            if (!version.TryGetInt32(out int number) || number != Version)
            {
                throw new JsonException($"it is of version {version.GetRawText()}, and this daemon reads version {Version}");
            }
        }

        JournalFile file = JsonSerializer.Deserialize(json.Span, JournalJson.Default.JournalFile) ?? throw new JsonException("it is empty");
        JournalEntry entry = file.Guest;
        for (JournalEntry? one = entry; one is not null; one = one.Former)
        {
            if (one.Spec.Name != name)
            {
                throw new JsonException($"it is about a guest '{one.Spec.Name}'");
            }

            if (GuestFactory.Validate(one.Spec) is { Count: > 0 } objections)
            {
                throw new JsonException(string.Join(' ', objections));
            }
        }

        return entry;
    }

    /// <summary>Says what became of the guest, and what can be done.</summary>
    public string Explain()
    {
        string name = Spec.Name;
        string ended = End == JournalEnd.Stop
            ? $"the daemon that had it was stopped in order at {Text(EndedAt)}"
            : $"the daemon that had it was last seen alive at {Text(EndedAt)} and then ended without being stopped (killed, crashed, or "
                + "its host was)";
        string gone = $"{ended}, and the guest's memory, which was in that process, ended with it";
        string fate = State switch
        {
            JournalState.Leaving =>
                $"{ended}, while migration {Migration} was moving it to {Peer}; what was here is gone. It may run there: look with "
                + "'migrationd guest list' on that host",
            JournalState.Away =>
                $"{ended}. By migration {Migration} it has run at {Peer} since {Text(Since)}, but not all of its pages were there yet, and "
                + $"those that were still here are gone. What became of it: 'migrationd guest show {name}' on that host",
            JournalState.Arriving =>
                $"{gone}. It had run here since {Text(Since)}, brought by migration {Migration}, and pages of it were still on {Peer}. "
                + $"That node keeps them as they were at the switchover: there, 'migrationd migration resolve {Migration} --resume-here' "
                + "lets the guest go on from then. What it did since is lost",
            _ => $"{gone}. It had been here since {Text(Since)}",
        };
        string kind = End == JournalEnd.Stop ? "ended by a stop" : "lost";
        return $"{kind}: {fate}. 'migrationd guest delete {name}' ends this report and frees the name";
    }

    private static string Text(DateTimeOffset? time) =>
        time?.ToUniversalTime().ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture) ?? "an unknown time";
}

/// <summary>What a daemon has to do with a guest, as far as it matters to the daemon after it.</summary>
internal enum JournalState
{
    /// <summary>The guest is this daemon's alone.</summary>
    Here,

    /// <summary>It is prepared for, and has not run here: its source has it.</summary>
    Expected,

    /// <summary>It is this daemon's, and pages of it are still on its source.</summary>
    Arriving,

    /// <summary>A migration takes it away. Whether it has been handed over, this entry does not know.</summary>
    Leaving,

    /// <summary>It runs elsewhere, and pages of it are still here.</summary>
    Away,
}

/// <summary>How the daemon ended that had a guest.</summary>
internal enum JournalEnd
{
    /// <summary>Without a word: killed, crashed, or its host was.</summary>
    Death,

    /// <summary>In order, because it was told to.</summary>
    Stop,
}

/// <summary>An entry as it is on disk, in the <see cref="JournalEntry.Version"/> of who wrote it.</summary>
internal sealed record JournalFile(int Version, JournalEntry Guest);

/// <summary>How a file is written: for people to read as well; and read strictly.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    WriteIndented = true,
    UseStringEnumConverter = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(JournalFile))]
internal sealed partial class JournalJson : JsonSerializerContext;
