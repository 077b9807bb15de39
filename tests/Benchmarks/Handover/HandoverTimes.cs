using System.Globalization;
using System.Text.Json;
using MigrationD.EndToEnd.Tests;

namespace MigrationD.Benchmarks.Handover;

/// <summary>How long each step of one switchover took, in microseconds.</summary>
/// <param name="Save">Until the state was saved, on the source; after precopy with the <c>Forget</c> that comes before.</param>
/// <param name="Load"><c>LoadState</c>, as the source sees it.</param>
/// <param name="Loading">Of that, what the destination took between the order and its answer.</param>
/// <param name="Run"><c>Run</c>, as the source sees it.</param>
/// <param name="Downtime">From pausing the first vCPU to the answer to <c>Run</c>.</param>
internal sealed record HandoverTimes(double Save, double Load, double Loading, double Run, double Downtime)
{
    /// <summary>What two daemons' logs say of a migration, in the form that log tools read; null while they do not say all of it.</summary>
    public static HandoverTimes? Find(string migration, DaemonProcess source, DaemonProcess destination)
    {
        JsonElement? switchover = Lines(source, migration).LastOrDefault(line => line.TryGetProperty("DowntimeMs", out _));
        DateTime? loading = Entered("Loading");
        DateTime? ready = Entered("Ready");
        if (switchover is not { ValueKind: JsonValueKind.Object } times || loading is null || ready is null)
        {
            return null;
        }

        return new HandoverTimes(
            Of("SaveMs"), Of("LoadMs"), (ready.Value - loading.Value).TotalMicroseconds, Of("RunMs"), Of("DowntimeMs"));

        double Of(string step) => times.GetProperty(step).GetDouble() * 1e3;

        DateTime? Entered(string state) => Lines(destination, migration)
            .Where(line => line.TryGetProperty("State", out JsonElement entered) && entered.ToString() == state)
            .Select(line => (DateTime?)DateTime.Parse(
                line.GetProperty("@t").GetString()!, CultureInfo.InvariantCulture, DateTimeStyles.RoundtripKind))
            .LastOrDefault();
    }

    private static IEnumerable<JsonElement> Lines(DaemonProcess daemon, string migration) => daemon.LinesWith(migration)
        .Where(line => line.StartsWith('{'))
        .Select(line => JsonDocument.Parse(line).RootElement);
}
